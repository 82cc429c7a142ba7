"""Where a task may be interrupted: in the user's code, wherever it lies, and not in ours nor while it imports."""

from __future__ import annotations

import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from localcluster.compat.util import fail_on_stopiteration
from localcluster.executor.kills import Kills, is_user_code
from protocol.errors import TaskKilledError
from tests.support import DEADLINE, LOOK, InThread


def frame_in(filename: str) -> FrameType:
    """A frame whose code claims to be from that file."""
    code = compile("import sys; frame = sys._getframe()", filename, "exec")
    names: dict[str, FrameType] = {}
    exec(code, names)
    return names["frame"]


@pytest.mark.parametrize(
    "filename", [__file__, "/home/me/importlib_demo/job.py", "/tmp/ipykernel_1/2.py", "<stdin>", "<string>"]
)
def test_the_users_code_may_be_interrupted(filename: str) -> None:
    assert is_user_code(frame_in(filename))


@pytest.mark.parametrize("filename", [fail_on_stopiteration.__code__.co_filename, importlib.util.__file__])
def test_our_code_and_imports_may_not(filename: str) -> None:
    assert not is_user_code(frame_in(filename))


def test_code_that_an_import_runs_may_not() -> None:
    names: dict[str, Any] = {}
    exec(compile("def load(module): return module()", importlib.util.__file__, "exec"), names)
    assert not is_user_code(names["load"](sys._getframe))
    assert not is_user_code(names["load"](lambda: sys._getframe()))


class Kill:
    """A task in a thread that is not the main one, which waits inside its records."""

    def __init__(self, kills: Kills) -> None:
        self.kills = kills
        self.began, self.go = threading.Event(), threading.Event()
        self.task = InThread(self._run)
        assert self.began.wait(DEADLINE)

    def _run(self) -> list[int]:
        self.kills.begin(7)
        try:
            return list(self.kills.check(7, self._records()))
        finally:
            self.reason = self.kills.end(7)

    def _records(self) -> Iterator[int]:
        yield 1
        self.began.set()
        assert self.go.wait(DEADLINE)
        yield 2
        yield 3


def test_a_task_in_a_further_thread_ends_at_its_next_record() -> None:
    kills = Kills()
    kill = Kill(kills)
    assert kills.running == (7,)
    kills.kill(7, "enough")
    assert kills.reason(7) == "enough"
    assert not kills.deliver(), "no signal is for it"
    kill.go.set()
    outcome = kill.task.outcome()
    assert isinstance(outcome, TaskKilledError)
    assert str(outcome) == "enough"
    assert (kill.reason, kills.running, kills.reason(7)) == ("enough", (), None)


def test_another_tasks_kill_does_not_end_it() -> None:
    kills = Kills()
    kill = Kill(kills)
    kills.kill(8, "enough")
    assert kills.reason(8) is None, "it does not run here"
    kill.go.set()
    assert kill.task.outcome() == [1, 2, 3]
    assert kill.reason is None


@pytest.fixture
def in_main() -> Iterator[Kills]:
    """Of an executor whose main thread is the test's and runs task 7."""
    handler = signal.getsignal(signal.SIGUSR1)
    kills = Kills()
    kills.install()
    kills.begin(7)
    yield kills
    kills.end(7)
    signal.signal(signal.SIGUSR1, handler)


def wait_while(call: Callable[[], object]) -> None:
    """In the user's code, while another thread does something. Waits are short: a signal just before one ends none."""
    go, deadline = threading.Event(), time.monotonic() + DEADLINE
    InThread(lambda: go.wait(DEADLINE) and call())
    go.set()
    while time.monotonic() < deadline:
        threading.Event().wait(LOOK)


def test_a_task_in_the_main_thread_is_interrupted_where_it_waits(in_main: Kills) -> None:
    with pytest.raises(TaskKilledError, match="enough"):
        wait_while(lambda: in_main.kill(7, "enough"))
    assert in_main.end(7) == "enough"


def test_a_signal_that_comes_while_our_code_runs_does_nothing_until_it_is_sent_again(in_main: Kills) -> None:
    in_main.kill(7, "enough")  # the signal comes in there
    assert in_main.deliver()
    with pytest.raises(TaskKilledError, match="enough"):
        wait_while(in_main.deliver)


def test_a_signal_after_the_tasks_end_does_nothing(in_main: Kills) -> None:
    assert in_main.end(7) is None
    in_main.kill(7, "enough")
    assert not in_main.deliver()
    signal.raise_signal(signal.SIGUSR1)
