"""Answers about map outputs: pickled once, inline or as a block, never out of date."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from localcluster.base.side_thread import SideThread
from localcluster.driver.map_output_server import MapOutputServer
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.payload import IN_MESSAGE
from protocol.block_messages import RemoveBlock
from protocol.cluster_messages import GetMapOutputs
from protocol.errors import OutOfSharedMemoryError
from storage.block_id import BroadcastBlockId
from tests.support import DEADLINE


class Desk:
    """A server, the blocks it put and removed, and the answers it gave."""

    def __init__(self) -> None:
        self.outputs = MapOutputTracker()
        self.side = SideThread()
        self.side.start()
        self.put_tables: list[bytes] = []
        self.told: list[Any] = []
        self.answers: list[Any] = []
        self.server = MapOutputServer(self.outputs, self, self.side, self.put)  # type: ignore[arg-type]

    def put(self, table: bytes) -> BroadcastBlockId:
        self.put_tables.append(table)
        return BroadcastBlockId(len(self.put_tables))

    def tell(self, message: Any) -> None:
        self.told.append(message)

    def __call__(self, value: Any) -> None:
        self.answers.append(value)

    def error(self, error: BaseException) -> None:
        self.answers.append(error)

    def ask(self, shuffle_id: int) -> Any:
        self.server.serve("1", GetMapOutputs(shuffle_id), self)  # type: ignore[arg-type]
        self.side.stop(DEADLINE)  # everything submitted is done
        self.side.__init__()  # type: ignore[misc]
        self.side.start()
        return self.answers[-1]

    def shuffle(self, shuffle_id: int, maps: int, name: str = "1") -> None:
        self.outputs.register_shuffle(shuffle_id, maps)
        for index in range(maps):
            self.outputs.register_output(shuffle_id, index, MapStatus(name, index, (None,)))


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.side.stop(DEADLINE)


def rows(answer: bytes) -> list[Any]:
    loaded: list[Any] = pickle.loads(answer)
    return loaded


def test_a_small_table_is_the_answer_itself(desk: Desk) -> None:
    desk.shuffle(0, 2)
    assert rows(desk.ask(0)) == [("1", 0, (None,)), ("1", 1, (None,))]
    assert desk.put_tables == []


def test_an_unknown_shuffle_has_no_table_and_an_empty_one_an_empty_table(desk: Desk) -> None:
    assert desk.ask(5) is None
    desk.shuffle(6, 0)
    assert rows(desk.ask(6)) == []


def test_a_table_is_pickled_once_for_all_who_ask(desk: Desk) -> None:
    desk.shuffle(0, 2)
    assert desk.ask(0) is desk.ask(0)


def test_a_large_table_becomes_one_block(desk: Desk) -> None:
    desk.shuffle(0, 100, "e" * IN_MESSAGE + "x")
    desk.outputs.lose_output(0, 0)
    desk.outputs.register_output(0, 0, MapStatus("f" * IN_MESSAGE, 0, (None,)))
    assert desk.ask(0) == desk.ask(0) == BroadcastBlockId(1)
    assert len(rows(desk.put_tables[0])) == 100


def test_a_new_epoch_makes_a_new_table_and_removes_the_old_ones_block(desk: Desk) -> None:
    desk.shuffle(0, 2, "e" * IN_MESSAGE)
    assert desk.ask(0) == BroadcastBlockId(1)
    desk.outputs.lose_output(0, 1)
    assert desk.ask(0) == BroadcastBlockId(2)
    assert desk.told == [RemoveBlock(BroadcastBlockId(1))]
    assert rows(desk.put_tables[1])[1] is None


def test_a_table_with_gaps_is_not_the_answer_once_they_are_filled(desk: Desk) -> None:
    desk.shuffle(0, 2)
    desk.outputs.lose_output(0, 1)
    assert rows(desk.ask(0))[1] is None
    epoch = desk.outputs.epoch
    desk.outputs.register_output(0, 1, MapStatus("2", 9, (None,)))
    assert desk.outputs.epoch == epoch, "no epoch tells"
    assert rows(desk.ask(0))[1] == ("2", 9, (None,))


def test_a_shuffle_that_was_forgotten_takes_its_block_along(desk: Desk) -> None:
    desk.shuffle(0, 1, "e" * IN_MESSAGE)
    desk.ask(0)
    desk.server.forget(0)
    desk.server.forget(0)
    assert desk.told == [RemoveBlock(BroadcastBlockId(1))]


def test_a_table_that_cannot_be_stored_is_an_error_for_who_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(table: bytes) -> Any:
        raise OutOfSharedMemoryError("no room")

    monkeypatch.setattr(desk.server, "_put", no_room)
    desk.shuffle(0, 1, "e" * IN_MESSAGE)
    assert isinstance(desk.ask(0), OutOfSharedMemoryError)
    desk.server.forget(0)
    assert desk.told == []
