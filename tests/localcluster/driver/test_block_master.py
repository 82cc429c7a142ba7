"""The block master in the driver: who is told and asked, in which thread, and what a failure becomes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from localcluster.base.side_thread import SideThread
from localcluster.driver.block_master import BlockMaster
from protocol.errors import AskTimeoutError, BrokenChannelError
from protocol.locations import DRIVER
from storage.outcome import Outcome
from tests.support import DEADLINE


class Desk:
    """An endpoint whose outcome the test sets, a slave, and executors that answer with their id unless they are dead.

    ``heard`` is (who, message, whether in the caller's thread).
    """

    def __init__(self) -> None:
        self.own_id = DRIVER
        self.outcome: Any = Outcome(reply="reply")
        self.heard: list[tuple[str, Any, bool]] = []
        self.answers: list[Any] = []
        self.side = SideThread()
        self.side.start()
        self.main = threading.get_ident()
        self.master = BlockMaster(self, threading.RLock(), self.side, self.send, self.ask)  # type: ignore[arg-type]
        self.master.slave = Slave(self)  # type: ignore[assignment]

    def receive(self, sender: str, message: Any, now: float) -> Outcome:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        outcome: Outcome = self.outcome
        return outcome

    def hear(self, who: str, message: Any) -> Any:
        self.heard.append((who, message, threading.get_ident() == self.main))
        return f"{who} has it"

    def send(self, executor_id: str, order: Any) -> None:
        if executor_id == "dead":
            raise BrokenChannelError("gone")
        self.hear(executor_id, order)

    def ask(self, executor_id: str, order: Any) -> Future[Any]:
        self.send(executor_id, order)
        answer: Future[Any] = Future()
        if executor_id != "silent":
            answer.set_result(f"{executor_id} has it")
        return answer

    def __call__(self, value: Any) -> None:
        self.answers.append(value)

    def error(self, error: BaseException) -> None:
        self.answers.append(error)


class Slave:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def receive(self, order: Any) -> Any:
        if order == "broken":
            raise ValueError(order)
        return self.desk.hear(DRIVER, order)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.side.stop(DEADLINE)


def asking(order: str, *executors: str) -> Outcome:
    return Outcome(asks=[(who, order) for who in executors], combine=lambda answers: Outcome(reply=answers))  # type: ignore[misc]


def test_the_reply_is_the_answer(desk: Desk) -> None:
    assert desk.master.ask("message") == "reply"  # type: ignore[arg-type]
    desk.master.serve("1", "message", desk)  # type: ignore[arg-type]
    assert desk.answers == ["reply"]


def test_the_drivers_own_block_manager_is_told_in_the_side_thread_and_executors_at_once(desk: Desk) -> None:
    desk.outcome = Outcome(tells=[(DRIVER, "order"), ("dead", "order"), ("1", "order")])  # type: ignore[list-item]
    desk.master.tell("message")  # type: ignore[arg-type]
    desk.side.stop(DEADLINE)
    assert sorted(desk.heard) == [("1", "order", True), (DRIVER, "order", False)]


def test_answers_are_combined_and_one_that_is_dead_or_fails_does_not_spoil_the_others(desk: Desk) -> None:
    desk.outcome = asking("order", "1", "dead", DRIVER)
    one, dead, driver = desk.master.ask("message", DEADLINE)  # type: ignore[arg-type]
    assert (one, driver) == ("1 has it", f"{DRIVER} has it")
    assert isinstance(dead, BrokenChannelError)
    desk.outcome = asking("broken", DRIVER)
    assert [type(answer) for answer in desk.master.ask("message", DEADLINE)] == [ValueError]  # type: ignore[arg-type]


def test_an_answer_that_does_not_come_in_time_is_an_error_of_ours(desk: Desk) -> None:
    desk.outcome = asking("order", "silent")
    with pytest.raises(AskTimeoutError, match="no answer within"):
        desk.master.ask("message", 0.01)  # type: ignore[arg-type]


def test_a_message_that_cannot_be_handled_is_an_error_for_who_asked(desk: Desk) -> None:
    desk.outcome = ValueError("unknown")
    desk.master.serve("1", "message", desk)  # type: ignore[arg-type]
    desk.master.serve("1", "message", None)  # type: ignore[arg-type]
    assert desk.answers == [desk.outcome]


def test_before_the_drivers_block_manager_has_started_it_is_not_there(desk: Desk) -> None:
    desk.master.slave = None
    desk.outcome = asking("order", DRIVER)
    assert [type(answer) for answer in desk.master.ask("message", DEADLINE)] == [BrokenChannelError]  # type: ignore[arg-type]
