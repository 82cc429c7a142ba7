"""How a task waits for its barrier stage: for the driver's answer, a kill, or the end of the task itself."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import pytest

from localcluster.executor.barrier_calls import MAX_MESSAGE, BarrierCalls
from localcluster.executor.kills import Kills
from protocol.cluster_messages import BarrierCall, BarrierRelease
from protocol.errors import ClosedChannelError, SparkException, TaskKilledError
from tests.support import DEADLINE


class Waiter:
    """A task in a thread of its own that makes one call; ``outcome`` is what came of it."""

    def __init__(self) -> None:
        self.kills = Kills()
        self.sent: SimpleQueue[Any] = SimpleQueue()
        self.calls = BarrierCalls(self.sent.put, self.kills)
        self.outcome: object = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.call: BarrierCall = self.sent.get(timeout=DEADLINE)

    def _run(self) -> None:
        self.kills.begin(7)
        try:
            self.outcome = self.calls.call(7, "allGather", "hello")
        except Exception as error:
            self.outcome = error

    def join(self) -> object:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        return self.outcome


def test_the_answer_ends_the_wait() -> None:
    waiter = Waiter()
    assert (waiter.call.task_id, waiter.call.function, waiter.call.message) == (7, "allGather", "hello")
    waiter.calls.answered(BarrierRelease(7, waiter.call.call_id, ("a", "b"), None))
    assert waiter.join() == ["a", "b"]


def test_an_answer_to_another_call_does_not() -> None:
    waiter = Waiter()
    waiter.calls.answered(BarrierRelease(7, waiter.call.call_id + 1, ("old",), None))
    waiter.calls.answered(BarrierRelease(7, waiter.call.call_id, ("new",), None))
    assert waiter.join() == ["new"]


def test_an_error_is_raised() -> None:
    waiter = Waiter()
    waiter.calls.answered(BarrierRelease(7, waiter.call.call_id, (), "another task failed"))
    outcome = waiter.join()
    assert isinstance(outcome, SparkException)
    assert str(outcome) == "another task failed"


@pytest.mark.parametrize("answered", [True, False])
def test_a_killed_task_stops_waiting_in_any_thread(answered: bool) -> None:
    waiter = Waiter()
    waiter.kills.kill(7, "its job was cancelled")
    if answered:
        waiter.calls.answered(BarrierRelease(7, waiter.call.call_id, (), "over"))
    outcome = waiter.join()
    assert isinstance(outcome, TaskKilledError)
    assert str(outcome) == "its job was cancelled"


def test_a_thread_that_outlives_its_task_stops_waiting() -> None:
    waiter = Waiter()
    waiter.kills.end(7)
    assert "over" in str(waiter.join())


def test_a_message_that_is_too_long_is_refused_before_it_is_sent() -> None:
    sent: list[object] = []
    with pytest.raises(SparkException, match="at most"):
        BarrierCalls(sent.append, Kills()).call(7, "allGather", "x" * (MAX_MESSAGE + 1))
    assert sent == []


def test_a_call_that_cannot_be_sent_waits_for_nothing() -> None:
    def tell(report: object) -> None:
        raise ClosedChannelError("the driver is gone")

    with pytest.raises(ClosedChannelError):
        BarrierCalls(tell, Kills()).call(7, "barrier", "")
