"""What tests wait with fails when nothing comes, and says what did not; random tests are random where they shall be."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import settings

from tests import support
from tests.support import InThread, wait_until


def test_waiting_for_what_does_not_come_to_be_says_what_that_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "DEADLINE", 0.0)
    with pytest.raises(AssertionError, match=r"files left: \['a'\]"):
        wait_until(lambda: False, "files left", lambda: ["a"])


def test_a_call_that_hangs_is_told_from_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(InThread(lambda: 1 // 0).outcome()) is ZeroDivisionError
    monkeypatch.setattr(support, "DEADLINE", 0.0)
    event = threading.Event()
    call = InThread(event.wait)
    with pytest.raises(AssertionError, match="the call hangs"):
        call.outcome()
    event.set()


def test_examples_are_the_same_each_time_in_ci_and_can_be_repeated_elsewhere() -> None:
    in_ci = "CI" in os.environ or "CI_RUN" in os.environ
    assert settings.default is not None
    assert (settings.default.derandomize, settings.default.print_blob) == (in_ci, True)
