from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from protocol.block_messages import ReleaseSegment, RemoveRdd
from protocol.errors import AskTimeoutError, BrokenChannelError
from protocol.message import Order
from storage.outcome import Outcome, settle


class Wire:
    """Records what is sent; asks stay open until the test answers them."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.open: dict[str, Future[Any]] = {}

    def tell(self, executor_id: str, order: Order) -> None:
        self.sent.append(f"tell {executor_id}")

    def ask_async(self, executor_id: str, order: Order) -> Future[Any]:
        self.sent.append(f"ask {executor_id}")
        return self.open.setdefault(executor_id, Future())


def settled(wire: Wire, outcome: Outcome) -> Future[Any]:
    return settle(outcome, wire.tell, wire.ask_async)


def test_a_plain_reply_is_there_at_once() -> None:
    wire = Wire()
    future = settled(wire, Outcome(7, tells=[("A", ReleaseSegment("x"))]))
    assert future.result(timeout=0) == 7
    assert wire.sent == ["tell A"]


def test_the_reply_waits_for_every_answer_and_keeps_their_order() -> None:
    wire = Wire()
    asks: list[tuple[str, Order]] = [("A", RemoveRdd(1)), ("B", RemoveRdd(1))]
    future = settled(wire, Outcome(asks=asks, combine=Outcome))
    wire.open["B"].set_result(2)
    assert not future.done()
    wire.open["A"].set_result(1)
    assert future.result(timeout=0) == [1, 2]


def test_an_ask_that_failed_does_not_undo_the_others() -> None:
    wire = Wire()
    asks: list[tuple[str, Order]] = [("A", RemoveRdd(1)), ("B", RemoveRdd(1))]
    future = settled(wire, Outcome(asks=asks, combine=Outcome))
    late = AskTimeoutError("late")
    wire.open["A"].set_exception(late)
    wire.open["B"].set_result(2)
    assert future.result(timeout=0) == [late, 2]


def test_combine_may_lead_to_more_messages() -> None:
    wire = Wire()

    def combine(answers: list[Any]) -> Outcome:
        return Outcome(sum(answers), tells=[("C", ReleaseSegment("x"))])

    future = settled(wire, Outcome(asks=[("A", RemoveRdd(1))], combine=combine))
    wire.open["A"].set_result(5)
    assert future.result(timeout=0) == 5
    assert wire.sent == ["ask A", "tell C"]


def test_nobody_to_ask_is_settled_at_once() -> None:
    assert settled(Wire(), Outcome(combine=Outcome)).result(timeout=0) == []


def test_an_exception_in_combine_reaches_the_asker() -> None:
    wire = Wire()

    def combine(answers: list[Any]) -> Outcome:
        raise ZeroDivisionError

    future = settled(wire, Outcome(asks=[("A", RemoveRdd(1))], combine=combine))
    wire.open["A"].set_result(5)
    with pytest.raises(ZeroDivisionError):
        future.result(timeout=0)


@pytest.mark.parametrize("besides", [False, True])
def test_asks_that_fail_at_once_do_not_pile_up(besides: bool) -> None:
    """As all do while the master has not heard yet of the death of whom it asks, again and again."""

    def step(left: int) -> Outcome:
        if not left:
            return Outcome("done")
        outcome = Outcome(asks=[("A", RemoveRdd(1))], combine=lambda answers: step(left - 1))
        return Outcome("done", background=outcome) if besides else outcome

    def fail(executor_id: str, order: Order) -> Future[Any]:
        answer: Future[Any] = Future()
        answer.set_exception(BrokenChannelError(executor_id))
        return answer

    assert settle(step(5000), Wire().tell, fail).result(timeout=0) == "done"
