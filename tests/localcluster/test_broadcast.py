"""Broadcasts: loaded once per process, forgotten when told, unusable when destroyed."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster import broadcast
from localcluster.broadcast import Broadcast
from localcluster.env import set_env
from protocol.errors import ContextError
from storage.block_id import BroadcastBlockId
from tests.localcluster.shuffle.bench import ShuffleBench
from tests.storage.clusters import ClusterMaker


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ShuffleBench]:
    maker = ClusterMaker(tmp_path)
    yield ShuffleBench(maker("1", "2"), tmp_path)
    maker.close()


@pytest.fixture(autouse=True)
def env(bench: ShuffleBench) -> Iterator[None]:
    set_env(SimpleNamespace(block_manager=bench.blocks))  # type: ignore[arg-type]
    yield
    set_env(None)
    broadcast._loaded.clear()


def make(bench: ShuffleBench, value: Any) -> Broadcast[Any]:
    def remove(broadcast_id: int, from_driver: bool, blocking: bool) -> None:
        if from_driver:
            bench.blocks.remove_block(BroadcastBlockId(broadcast_id))

    return Broadcast(0, value, remove)


def travelled(value: Broadcast[Any]) -> Any:
    return pickle.loads(pickle.dumps(value))


def test_a_task_loads_the_value_once(bench: ShuffleBench) -> None:
    made = make(bench, {"a": [1]})
    assert travelled(made).value == {"a": [1]}
    assert travelled(made).value is travelled(travelled(made)).value
    broadcast.forget(0)
    assert travelled(made).value == {"a": [1]}


def test_a_destroyed_one_cannot_be_used_anywhere(bench: ShuffleBench) -> None:
    made = make(bench, [1])
    remote = travelled(made)
    assert remote.value == [1]
    made.destroy()
    made.destroy()
    for use in (lambda: made.value, lambda: remote.value, made.unpersist, lambda: pickle.dumps(made)):
        with pytest.raises(ContextError, match="after it was destroyed"):
            use()


def test_a_new_broadcast_under_an_old_id_is_not_taken_for_the_old_one(bench: ShuffleBench) -> None:
    """Each context counts from 0, and a driver may have loaded a broadcast that came back in a result."""
    assert travelled(make(bench, "old")).value == "old"
    bench.blocks.remove_block(BroadcastBlockId(0))
    assert travelled(make(bench, "new")).value == "new"


def test_tasks_cannot_remove_one(bench: ShuffleBench) -> None:
    remote = travelled(make(bench, 1))
    for remove in (remote.unpersist, remote.destroy):
        with pytest.raises(ContextError, match="in driver"):
            remove()
