"""Broadcasts: loaded once per process, forgotten when told, unusable when destroyed."""

from __future__ import annotations

import errno
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from localcluster.task import broadcast
from localcluster.task.broadcast import Broadcast
from localcluster.task.env import set_env
from protocol.errors import BlockNotFoundError, ContextError, RDDError, SerializationError, SparkException
from storage import os_layer
from storage.block_id import BroadcastBlockId
from tests.localcluster.shuffle.bench import ShuffleBench
from tests.storage.clusters import ClusterMaker, remove_shared_files


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ShuffleBench]:
    maker = ClusterMaker(tmp_path)
    yield ShuffleBench(maker("1", "2", cleaner_ttl=1.0), tmp_path)
    maker.close()


@pytest.fixture(autouse=True)
def env(bench: ShuffleBench) -> Iterator[None]:
    set_env(SimpleNamespace(block_manager=bench.blocks))  # type: ignore[arg-type]
    yield
    set_env(None)
    broadcast._loaded.clear()
    broadcast._referred.clear()


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
    for use in (lambda: made.value, lambda: remote.value, made.unpersist, made.destroy, lambda: pickle.dumps(made)):
        with pytest.raises(SparkException, match=r"Attempted to use Broadcast\(0\) after it was destroyed"):
            use()


def test_one_that_a_process_cannot_read_was_not_destroyed(bench: ShuffleBench, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = travelled(make(bench, [1]))
    set_env(SimpleNamespace(block_manager=bench.other))  # type: ignore[arg-type]
    remove_shared_files(bench.cluster)
    with monkeypatch.context() as full:
        full.setattr(os_layer, "reserve", lambda fd, size: no_space())  # so its holder finds no new place for it
        with pytest.raises(BlockNotFoundError, match="broadcast_0 exists"):
            _ = remote.value
    assert remote.value == [1]


def no_space() -> None:
    raise OSError(errno.ENOSPC, "no space left")


def test_a_new_broadcast_under_an_old_id_is_not_taken_for_the_old_one(bench: ShuffleBench) -> None:
    """Each context counts from 0, and a driver may have loaded a broadcast that came back in a result."""
    assert travelled(make(bench, "old")).value == "old"
    bench.blocks.remove_block(BroadcastBlockId(0))
    assert travelled(make(bench, "new")).value == "new"


def test_the_drivers_value_is_a_copy_of_what_was_broadcast(bench: ShuffleBench) -> None:
    original = [1]
    made = make(bench, original)
    original.append(2)
    assert made.value == [1]
    assert made.value is made.value
    made.value.append(3)
    assert (made.value, travelled(made).value) == ([1, 3], [1])


def test_arrays_are_writable_in_the_driver(bench: ShuffleBench) -> None:
    made = make(bench, np.zeros(100_000))
    made.value[0] = 1
    assert made.value[0] == 1


def test_a_broadcast_may_hold_another(bench: ShuffleBench) -> None:
    inner = make(bench, [1])
    outer = Broadcast(1, {"inner": inner}, lambda *_: None)
    assert travelled(outer).value["inner"].value == [1]
    assert outer.value["inner"].value == [1]


def test_one_loaded_where_no_context_runs_says_so(bench: ShuffleBench) -> None:
    remote = travelled(make(bench, 1))
    set_env(None)
    with pytest.raises(ContextError, match=r"\[BROADCAST_VARIABLE_NOT_LOADED\] Broadcast variable `0` not loaded"):
        remote.value  # noqa: B018


class Refusing:
    """Cannot be pickled, by an error of choice."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no way"), "Could not serialize broadcast: ValueError: no way"),
        (
            RDDError(errorClass="RDD_TRANSFORM_ONLY_VALID_ON_DRIVER"),
            r"broadcast: .*\[RDD_TRANSFORM_ONLY_VALID_ON_DRIVER",
        ),
        (ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER"), r"broadcast: .*\[CONTEXT_ONLY_VALID_ON_DRIVER\]"),
    ],
    ids=["any", "rdd", "context"],
)
def test_what_cannot_be_pickled_cannot_be_broadcast(bench: ShuffleBench, error: Exception, text: str) -> None:
    with pytest.raises(pickle.PicklingError, match=text) as caught:
        make(bench, {"key": [Refusing(error)]})
    assert isinstance(caught.value, SerializationError)
    with pytest.raises(pickle.PicklingError, match="broadcast: TypeError: cannot pickle '_thread"):
        make(bench, threading.Lock())


def test_values_are_dumped_into_files_and_loaded(bench: ShuffleBench, tmp_path: Path) -> None:
    made = make(bench, [1, 2])
    path = tmp_path / "dumped"
    file = open(path, "wb")  # noqa: SIM115  # dump closes it
    made.dump(made.value, file)
    assert file.closed
    assert made.load_from_path(str(path)) == [1, 2]
    with open(path, "rb") as opened:
        assert travelled(made).load(opened) == [1, 2]
    with (
        open(tmp_path / "refused", "wb") as refused,
        pytest.raises(pickle.PicklingError, match="Could not serialize broadcast: TypeError"),
    ):
        made.dump(threading.Lock(), refused)  # type: ignore[arg-type]


def test_tasks_cannot_remove_one(bench: ShuffleBench) -> None:
    remote = travelled(make(bench, 1))
    for remove in (remote.unpersist, remote.destroy):
        with pytest.raises(ContextError, match="in driver"):
            remove()


def test_it_is_in_use_while_a_task_refers_to_it_and_when_its_value_is_asked_for(bench: ShuffleBench) -> None:
    def used() -> tuple[Any, ...]:
        broadcast.note_uses(bench.blocks)
        return bench.blocks.take_uses()

    made = make(bench, [1])
    assert used() == ()
    assert made.value == [1]
    assert used() == (BroadcastBlockId(0),)
    assert used() == ()
    remote = travelled(made)
    assert used() == used() == (BroadcastBlockId(0),)
    del remote
    assert used() == ()
    travelled(made)
    assert used() == (BroadcastBlockId(0),)
