"""Every test leaves the machine as it found it: looked at after each test, each test module, and the whole session.

A plugin of its own, which ``--localcluster-leaks`` loads. What is left fails the test in its teardown, by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from localcluster.trials.leaks import describe, everything, still_left_after_grace

if TYPE_CHECKING:
    from localcluster.api.context import SparkContext

OUTLIVES_TESTS = "_outlives_tests"
"""What the context of `shared_sc` has as an attribute."""


def check(where: str) -> Iterator[None]:
    """A context that outlives the test, since it is older or `shared_sc` made it, may grow meanwhile: its module or
    session looks at what may be its own.
    """
    older = active_context()
    before = everything()
    yield
    context = active_context()
    lives_on = context is older or getattr(context, OUTLIVES_TESTS, False)
    left = still_left_after_grace(before, context._cluster._launcher.pid if context and lives_on else None)
    if left:
        lines = [f"  {describe(key, name)}" for key, name in left.items()]
        pytest.fail("\n".join([f"the {where} left behind:", *lines]), pytrace=False)


def active_context() -> SparkContext | None:
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
