"""Every test leaves the machine as it found it: looked at after each test, each test module, and the whole session.

A plugin of its own, which ``--localcluster-leaks`` loads. What is left fails the test in its teardown, by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from localcluster.trials.leaks import describe, everything, still_left_after_grace


def check(where: str) -> Iterator[None]:
    """A context that is older than the test and outlives it may grow meanwhile: its module or session checks that."""
    shared = active_context()
    before = everything()
    yield
    if shared is not None and active_context() is shared:
        return
    left = still_left_after_grace(before)
    if left:
        lines = [f"  {describe(key, name)}" for key, name in left.items()]
        pytest.fail("\n".join([f"the {where} left behind:", *lines]), pytrace=False)


def active_context() -> object:
    module = sys.modules.get("localcluster.api.context")
    return module.SparkContext._active_spark_context if module else None


@pytest.fixture(autouse=True)
def test_leaves_nothing_behind() -> Iterator[None]:
    yield from check("test")


@pytest.fixture(autouse=True, scope="module")
def module_leaves_nothing_behind() -> Iterator[None]:
    """The same for what the fixtures of a whole test module made, such as a context that its tests share."""
    yield from check("test module")


@pytest.fixture(autouse=True, scope="session")
def session_leaves_nothing_behind() -> Iterator[None]:
    yield from check("test session")
