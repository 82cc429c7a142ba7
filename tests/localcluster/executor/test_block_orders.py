"""Which orders an executor carries out beside the thread that takes them, and that this thread never waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.executor.block_orders import AT_ONCE, BlockOrders
from localcluster.executor.executor import Executor
from localcluster.faults.process_faults import ProcessFaults
from localcluster.task import broadcast
from protocol.block_messages import ExtentReleased, RemoveBlock, RemoveBroadcast, RemoveShuffle, ShareBlock
from protocol.cluster_messages import (
    KillTask,
    LaunchExecutor,
    LaunchTasks,
    StageDescription,
    TaskDescription,
    TaskKilled,
)
from protocol.endpoint import Incoming
from protocol.errors import BrokenChannelError, ClosedChannelError, StorageError
from storage.block_id import BroadcastBlockId, RDDBlockId
from storage.scratch import Scratch
from tests.support import DEADLINE

BLOCK = RDDBlockId(1, 0)


class Answer:
    """An ask's answer, once it is given."""

    def __init__(self) -> None:
        self._given = threading.Event()
        self.value: Any = None

    def __call__(self, value: Any) -> None:
        self.value = value
        self._given.set()

    error = __call__

    def wait(self) -> Any:
        assert self._given.wait(DEADLINE)
        return self.value


class Blocks:
    """A block manager whose copies for others take until ``go`` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Semaphore(0)
        self.calls: list[Any] = []

    def share_block(self, block_id: Any) -> str:
        self.began.release()
        assert self.go.wait(DEADLINE)
        return f"copy of {block_id}"

    def remove_block(self, block_id: Any) -> bool:
        self.calls.append(block_id)
        return True

    def remove_broadcast(self, broadcast_id: int) -> int:
        return 0

    def remove_shuffle(self, shuffle_id: int) -> bool:
        raise SystemExit("of a store of the user's own")

    def extents_released(self, locations: Any) -> None:
        self.calls.append(threading.current_thread())


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


@pytest.fixture
def forgotten() -> list[int]:
    return []


@pytest.fixture
def orders(blocks: Blocks, forgotten: list[int]) -> Iterator[BlockOrders]:
    shuffles = SimpleNamespace(outputs=SimpleNamespace(forget=forgotten.append))
    made = BlockOrders(SimpleNamespace(block_manager=blocks, shuffle_manager=shuffles))  # type: ignore[arg-type]
    yield made
    blocks.go.set()
    made.stop()


def tell(orders: BlockOrders, order: Any, reply: Any = None) -> None:
    orders.handlers[type(order)](Incoming(order, reply))


def ask(orders: BlockOrders, order: Any) -> Answer:
    answer = Answer()
    tell(orders, order, answer)
    return answer


def test_an_order_that_takes_long_holds_up_neither_its_thread_nor_the_next(orders: BlockOrders, blocks: Blocks) -> None:
    copies = [ask(orders, ShareBlock(BLOCK)) for _ in range(AT_ONCE - 1)]
    assert ask(orders, RemoveBlock(BLOCK)).wait() is True
    blocks.go.set()
    assert [copy.wait() for copy in copies] == ["copy of rdd_1_0"] * (AT_ONCE - 1)


def test_what_is_told_often_and_done_at_once_is_not_handed_over(orders: BlockOrders, blocks: Blocks) -> None:
    tell(orders, ExtentReleased(()))
    assert blocks.calls == [threading.current_thread()]


def test_what_this_process_keeps_of_broadcasts_and_shuffles_goes_too(orders: BlockOrders, forgotten: list[int]) -> None:
    broadcast._loaded[7] = "value"
    assert ask(orders, RemoveBroadcast(7)).wait() == 0
    assert 7 not in broadcast._loaded
    ask(orders, RemoveShuffle(5)).wait()
    assert forgotten == [5]


def test_whatever_an_order_raises_is_its_answer(orders: BlockOrders) -> None:
    assert isinstance(ask(orders, RemoveShuffle(5)).wait(), SystemExit)
    tell(orders, RemoveShuffle(5))
    assert ask(orders, RemoveBlock(BLOCK)).wait() is True


def test_a_driver_that_is_gone_does_not_matter(orders: BlockOrders) -> None:
    def reply(value: Any) -> None:
        raise BrokenChannelError("gone")

    for _ in range(AT_ONCE):
        tell(orders, RemoveBlock(BLOCK), reply)
    assert ask(orders, RemoveBlock(BLOCK)).wait() is True


def test_a_block_master_that_is_gone_is_no_failure_to_warn_of(
    orders: BlockOrders, blocks: Blocks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = threading.Event()

    def remove_shuffle(shuffle_id: int) -> bool:
        asked.set()
        raise ClosedChannelError("the block master has stopped")

    monkeypatch.setattr(blocks, "remove_shuffle", remove_shuffle)
    tell(orders, RemoveShuffle(1))
    assert asked.wait(DEADLINE)
    orders._threads.shutdown(wait=True)
    assert caplog.text == ""


def test_what_cannot_be_removed_is_told_in_a_line(
    orders: BlockOrders, blocks: Blocks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def remove_shuffle(shuffle_id: int) -> bool:
        raise StorageError("cannot remove block")

    monkeypatch.setattr(blocks, "remove_shuffle", remove_shuffle)
    assert isinstance(ask(orders, RemoveShuffle(1)).wait(), StorageError)
    assert "RemoveShuffle failed: cannot remove block" in caplog.text
    assert "Traceback" not in caplog.text


def test_stopping_waits_for_nothing_and_gives_up_what_has_not_begun(orders: BlockOrders, blocks: Blocks) -> None:
    for _ in range(AT_ONCE):
        ask(orders, ShareBlock(BLOCK))
    for _ in range(AT_ONCE):
        assert blocks.began.acquire(timeout=DEADLINE)
    ask(orders, RemoveBlock(BLOCK))
    orders.stop()
    blocks.go.set()
    orders._threads.shutdown(wait=True)
    assert blocks.calls == []


# --- the executor's own orders ----------------------------------------------------------------------------------------


class Reports:
    """A driver that hears and never answers."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, *reports: Any) -> None:
        self.told += reports

    def ask(self, message: Any, timeout: float) -> Any:
        raise AssertionError(f"{message} is asked in the thread that takes orders")


def test_taking_a_stage_with_a_large_binary_and_killing_its_tasks_asks_nobody(tmp_path: Path) -> None:
    scratch, reports, no_orders = Scratch.create((str(tmp_path),)), Reports(), SimpleNamespace()
    executor = Executor(LaunchExecutor("1", 1, {}, ()), no_orders, reports, scratch, ProcessFaults("executor", "1", ""))  # type: ignore[arg-type]
    try:
        stage = StageDescription(0, 0, BroadcastBlockId(4), {}, epoch=1)
        tasks = tuple(TaskDescription(number, number, 0, b"") for number in range(2))
        executor._obey(Incoming(LaunchTasks(0, stage, tasks)))
        executor._obey(Incoming(KillTask(1, "cancelled")))
        assert reports.told == [TaskKilled(1, "cancelled")]
        assert executor._tasks.give_back((0, 1)) == (0,)
    finally:
        executor._block_orders.stop()
        executor._env.block_manager.stop()
        scratch.remove()
