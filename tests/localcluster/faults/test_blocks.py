"""Blocks that are lost, cut short or damaged by a plan, where they were put or are read: each read finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localcluster import faults
from localcluster.faults.injector import Injector
from localcluster.shuffle.hash_shuffle import HashShuffleManager
from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from protocol.errors import CorruptBlockError, FetchFailedError
from protocol.events import BlockCorrupt, BlockLost, BlockRecomputed, Event
from storage import serializer
from storage.block_id import BroadcastBlockId, RDDBlockId, TaskResultBlockId
from storage.storage_level import StorageLevel
from tests.localcluster.shuffle.bench import Round, ShuffleBench
from tests.storage.clusters import ClusterMaker, locations, values

BLOCK = RDDBlockId(7, 3)
ACTIONS = ["lose", "truncate", "corrupt"]
LEVELS = ["MEMORY_ONLY_SER", "DISK_ONLY", "OFF_HEAP"]
actions = pytest.mark.parametrize("action", ACTIONS)
levels = pytest.mark.parametrize("name", LEVELS)


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[ClusterMaker]:
    maker = ClusterMaker(tmp_path)
    yield maker
    maker.close()


class Bench:
    """Executors 1 and 2, what the master recorded, and the injector of the process."""

    def __init__(self, make_cluster: ClusterMaker, directory: Path) -> None:
        self.events: list[Event] = []
        self.cluster = make_cluster("1", "2", max_memory=1_000_000, record=self.events.append)
        self.a, self.b = self.cluster.managers["1"], self.cluster.managers["2"]
        self._directory = directory
        self.injector = Injector("executor", "1", str(directory))
        self.ledgers: list[Any] = []

    def arm(self, text: str) -> None:
        self.ledgers.append(self.injector.start(len(self.ledgers), faults.plan(text)))


@pytest.fixture
def bench(make_cluster: ClusterMaker, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(make_cluster, tmp_path)
    yield bench
    bench.injector.disarm_all()


@actions
@levels
@pytest.mark.parametrize("moment", ["block_put", "block_read"])
def test_a_cached_block_is_made_again(bench: Bench, action: str, name: str, moment: str) -> None:
    bench.arm(f"{action} block=rdd_*_3 at={moment}")
    level = StorageLevel.from_string(name)
    made = []

    def make() -> list[Any]:
        made.append(1)
        return [np.arange(1000)]

    for _ in range(3):
        result, leftover = bench.a.get_or_else_update(BLOCK, level, make)
        (array,) = leftover if result is None else result.values  # type: ignore[union-attr]
        assert array.sum() == np.arange(1000).sum()
        del array, result, leftover
    assert len(made) == 2
    (array,) = values(bench.b, BLOCK) or []
    assert array.sum() == np.arange(1000).sum()


@pytest.mark.parametrize("name", [*LEVELS, "MEMORY_ONLY", "MEMORY_AND_DISK_DESER"])
@pytest.mark.parametrize("moment", ["block_put", "block_read"])
def test_the_loss_of_a_cached_block_and_its_return_are_events(bench: Bench, name: str, moment: str) -> None:
    level = StorageLevel.from_string(name)
    if moment == "block_read":
        bench.a.put_single(BLOCK, 1, level)
    bench.arm(f"lose block=rdd_*_3 at={moment}")
    for _ in range(2):
        result, _ = bench.a.get_or_else_update(BLOCK, level, lambda: [1])
        assert result is not None
        assert list(result.values) == [1]
    assert [event[1:] for event in bench.events if not isinstance(event, BlockCorrupt)] == [(str(BLOCK), "1")] * 2
    assert [type(event) for event in bench.events if not isinstance(event, BlockCorrupt)] == [
        BlockLost,
        BlockRecomputed,
    ]


@actions
@levels
def test_a_pattern_spares_what_it_does_not_match(bench: Bench, action: str, name: str) -> None:
    bench.arm(f"{action} block=rdd_*_4")
    bench.a.put_single(BLOCK, "value", StorageLevel.from_string(name))
    assert values(bench.a, BLOCK) == ["value"]
    assert bench.events == []


@actions
def test_a_plan_that_spoils_each_put_leaves_a_job_without_a_cache(bench: Bench, action: str) -> None:
    bench.arm(f"{action} block=rdd_* probability=1")
    for _ in range(3):
        result, leftover = bench.a.get_or_else_update(BLOCK, StorageLevel.DISK_ONLY, lambda: [1, 2])
        assert result is None
        assert list(leftover or ()) == [1, 2]
    assert locations(bench.cluster, BLOCK) == ()


@actions
@pytest.mark.parametrize("nth", [1, 2])
def test_the_nth_read_of_another_process_finds_it(bench: Bench, action: str, nth: int) -> None:
    bench.a.put_single(BLOCK, "value", StorageLevel.DISK_ONLY)
    bench.arm(f"{action} block=rdd_* at=block_read nth={nth}")
    assert [values(bench.b, BLOCK) for _ in range(2)] == [["value"]] * (nth - 1) + [None] * (3 - nth)


def test_a_flipped_bit_is_an_event(bench: Bench) -> None:
    bench.arm("corrupt block=broadcast_*")
    bench.a.put_shared(BroadcastBlockId(4), serializer.dumps(np.arange(1000)))
    assert bench.b.get_bytes(BroadcastBlockId(4)) is None
    found = [event for event in bench.events if isinstance(event, BlockCorrupt)]
    assert [(event.block_id, event.executor_id, event.found_by) for event in found] == [
        ("broadcast_4", "1", "2"),
        ("broadcast_4", "1", "1"),
    ]


def test_the_seed_chooses_the_bit(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    contents = []
    for run in range(2):
        bench = Bench(make_cluster, tmp_path / str(run))
        (tmp_path / str(run)).mkdir()
        bench.arm("corrupt block=taskresult_*")
        place = bench.a.put_shared(TaskResultBlockId(1), serializer.dumps(b"result" * 100), tell_master=False)
        bench.injector.disarm_all()
        contents.append(bytes(bench.a.read_location(place).memoryview()))
        with pytest.raises(CorruptBlockError):
            serializer.check(contents[-1])
    assert contents[0] == contents[1]


@actions
@pytest.mark.parametrize("kind", [SortShuffleManager, HashShuffleManager])
@pytest.mark.parametrize("moment", ["block_put", "block_read"])
def test_a_map_output_fails_the_fetch(bench: Bench, action: str, kind: type[ShuffleManager], moment: str) -> None:
    shuffles = ShuffleBench(bench.cluster, Path(bench.injector._directory))
    run, shuffle = Round(shuffles, kind), shuffles.shuffle(2)
    bench.arm(f"{action} block=shuffle_* at={moment} nth=2")
    run.write(shuffle, *([(0, "a"), (1, "b")] for _ in range(3)))
    with pytest.raises(FetchFailedError):
        run.read_all(shuffle)


def test_an_index_is_found_too(bench: Bench) -> None:
    shuffles = ShuffleBench(bench.cluster, Path(bench.injector._directory))
    run, shuffle = Round(shuffles, SortShuffleManager), shuffles.shuffle(2)
    bench.arm("lose block=shuffle_*.index nth=3")
    run.write(shuffle, *([(0, "a"), (1, "b")] for _ in range(3)))
    with pytest.raises(FetchFailedError) as caught:
        run.read_all(shuffle)
    assert list(caught.value.missed) == [2]
