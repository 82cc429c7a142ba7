"""An executor's tables of map outputs: when the driver is asked, and when what it said is forgotten."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from localcluster.shuffle.map_outputs import MapOutputs
from localcluster.shuffle.map_status import MapStatus
from protocol.errors import AskTimeoutError, BlockNotFoundError, FetchFailedError
from storage.block_id import BroadcastBlockId
from storage.serializer import wrap
from tests.localcluster.shuffle.bench import Driver, ShuffleBench

STATUS = MapStatus("1", 5, (None,))


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.tables = {0: [STATUS, STATUS], 1: []}
    return driver


def test_a_table_is_asked_for_once(bench: ShuffleBench, driver: Driver) -> None:
    outputs = MapOutputs(driver.ask, bench.blocks)
    assert [outputs.table(0), outputs.table(0), outputs.table(1)] == [[STATUS, STATUS], [STATUS, STATUS], []]
    assert driver.asked == 2


def test_a_later_epoch_forgets_all_tables_and_an_earlier_one_none(bench: ShuffleBench, driver: Driver) -> None:
    outputs = MapOutputs(driver.ask, bench.blocks)
    outputs.advance(3)
    outputs.table(0)
    outputs.advance(3)
    outputs.advance(2)
    outputs.table(0)
    assert driver.asked == 1
    outputs.advance(4)
    outputs.table(0)
    assert driver.asked == 2


def test_a_shuffle_that_was_removed_is_asked_for_anew(bench: ShuffleBench, driver: Driver) -> None:
    outputs = MapOutputs(driver.ask, bench.blocks)
    outputs.table(0)
    outputs.table(1)
    outputs.forget(0)
    outputs.forget(7)
    outputs.table(1)
    assert driver.asked == 2
    outputs.table(0)
    assert driver.asked == 3


def test_a_table_with_gaps_is_not_kept_since_no_epoch_tells_that_they_were_filled(
    bench: ShuffleBench, driver: Driver
) -> None:
    outputs = MapOutputs(driver.ask, bench.blocks)
    driver.tables[0] = [STATUS, None]
    assert outputs.table(0) == [STATUS, None]
    driver.tables[0] = [STATUS, STATUS]
    assert outputs.table(0) == [STATUS, STATUS]


def test_a_shuffle_unknown_to_the_driver_fails_the_fetch_and_is_asked_for_again(
    bench: ShuffleBench, driver: Driver
) -> None:
    outputs = MapOutputs(driver.ask, bench.blocks)
    for _ in range(2):
        with pytest.raises(FetchFailedError, match="does not know"):
            outputs.table(9)
    assert driver.asked == 2


def test_a_large_table_is_read_from_its_block(bench: ShuffleBench) -> None:
    rows = pickle.dumps([tuple(STATUS)] * 1000)
    bench.other.put_shared(BroadcastBlockId(4), wrap(rows))
    outputs = MapOutputs(lambda message: BroadcastBlockId(4), bench.blocks)
    assert outputs.table(0) == [STATUS] * 1000


def test_a_table_whose_block_went_meanwhile_is_asked_for_again(bench: ShuffleBench, driver: Driver) -> None:
    """The driver drops the block when the epoch changes, which may be between its answer and our reading."""
    answers = iter([BroadcastBlockId(4)])
    outputs = MapOutputs(lambda message: next(answers, None) or driver.ask(message), bench.blocks)
    assert outputs.table(0) == [STATUS, STATUS]


def test_a_table_whose_block_is_never_there_is_not_asked_for_without_end(bench: ShuffleBench) -> None:
    outputs = MapOutputs(lambda message: BroadcastBlockId(4), bench.blocks)
    with pytest.raises(BlockNotFoundError):
        outputs.table(0)


def test_a_driver_that_does_not_answer_leaves_no_table_and_no_lock(bench: ShuffleBench, driver: Driver) -> None:
    calls: list[int] = []

    def ask(message: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise AskTimeoutError("no answer")
        return driver.ask(message)

    outputs = MapOutputs(ask, bench.blocks)
    with pytest.raises(AskTimeoutError):
        outputs.table(0)
    assert outputs.table(0) == [STATUS, STATUS]


def test_threads_that_want_the_same_table_ask_once(bench: ShuffleBench, driver: Driver) -> None:
    started, go = threading.Barrier(4), threading.Event()

    def ask(message: Any) -> Any:
        assert go.wait(20)
        return driver.ask(message)

    outputs = MapOutputs(ask, bench.blocks)
    tables: list[Any] = []

    def want() -> None:
        started.wait(20)
        tables.append(outputs.table(0))

    threads = [threading.Thread(target=want, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait(20)
    go.set()
    for thread in threads:
        thread.join(20)
    assert tables == [[STATUS, STATUS]] * 3
    assert driver.asked == 1


@pytest.mark.parametrize("order", [lambda outputs: outputs.advance(4), lambda outputs: outputs.forget(0)])
def test_orders_do_not_wait_for_a_task_that_asks_and_its_answer_is_not_kept(
    bench: ShuffleBench, driver: Driver, order: Callable[[MapOutputs], None]
) -> None:
    asking, go = threading.Event(), threading.Event()

    def ask(message: Any) -> Any:
        asking.set()
        assert go.wait(20)
        return driver.ask(message)

    outputs = MapOutputs(ask, bench.blocks)
    task = threading.Thread(target=lambda: outputs.table(0), daemon=True)
    task.start()
    assert asking.wait(20)
    order(outputs)  # waits for ever if it waits
    go.set()
    task.join(20)
    outputs.table(0)
    assert driver.asked == 2
