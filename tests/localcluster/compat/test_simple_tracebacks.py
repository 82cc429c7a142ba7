"""Tracebacks without our own frames at the top."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import TracebackType

import pytest

from localcluster.compat.simple_tracebacks import try_simplify_traceback, walk_tb
from localcluster.compat.util import fail_on_stopiteration


def traceback_of(function: Callable[[], object]) -> TracebackType:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        function()
    assert caught.tb.tb_next is not None
    return caught.tb.tb_next  # without the frame of this function


def names(tb: TracebackType | None) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(tb)]


def user_error() -> None:
    raise KeyError("of the user")


def user_stop() -> None:
    raise StopIteration


def outer_user() -> None:
    fail_on_stopiteration(user_stop)()


def test_own_frames_before_the_first_of_the_user_go() -> None:
    tb = traceback_of(fail_on_stopiteration(user_error))
    assert names(tb) == ["wrapper", "user_error"]
    assert names(try_simplify_traceback(tb)) == ["user_error"]


def test_own_frames_below_the_users_stay() -> None:
    tb = traceback_of(fail_on_stopiteration(outer_user))
    assert names(tb) == ["wrapper", "outer_user", "wrapper"]
    assert names(try_simplify_traceback(tb)) == ["outer_user", "wrapper"]
    assert len(list(walk_tb(tb))) == 3


def test_nothing_is_left_of_a_traceback_of_our_own() -> None:
    assert try_simplify_traceback(traceback_of(fail_on_stopiteration(user_stop))) is None
