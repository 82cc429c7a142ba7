"""Every test leaves the machine as it found it: ``--localcluster-leaks``, the plugin's option, is on for all of them.

Random tests: hypothesis draws other examples in each run and prints how to repeat one that fails. Where ``CI`` or
``CI_RUN`` is set, as by ``.ci/run``, it draws the same ones each time: a change is judged by what it does, not by luck.
When one fails, hypothesis looks for a shorter example for up to five minutes. These tests have a longer time limit for
that: where another one ends the search, no example is printed, but an error which says that the test is flaky.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from localcluster.cache import command
from localcluster.cache.home import DIRECTORY_VARIABLE

settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, database=None)
settings.load_profile("ci" if {"CI", "CI_RUN"} & os.environ.keys() else "here")

OWN_DIRECTORY = pytest.StashKey[str]()
RANDOM_TEST_LIMIT = 420  # seconds: five minutes of hypothesis's for a shorter example, and the limit of other tests


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not the user's: what tests cache without naming a directory goes into one of the session's."""
    directory = str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIRECTORY_VARIABLE, directory)
        yield
        command.stop(directory, 30)


def pytest_configure(config: pytest.Config) -> None:
    """Each process of xdist has a temporary directory of its own: what is in there is of its tests."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        tempfile.tempdir = config.stash[OWN_DIRECTORY] = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix=f"{worker}-")


def pytest_unconfigure(config: pytest.Config) -> None:
    own = config.stash.get(OWN_DIRECTORY, None)
    if own and not list(Path(own).glob("localcluster-*")):  # files of runs stay, for whoever looks for them
        shutil.rmtree(own)


@pytest.hookimpl(trylast=True)  # the plugin of hypothesis marks its tests before
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("hypothesis") is not None:
            item.add_marker(pytest.mark.timeout(RANDOM_TEST_LIMIT))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    if item.get_closest_marker("hypothesis") is not None:
        faulthandler.cancel_dump_traceback_later()  # of a test that is busy: Python 3.11 can crash in it
