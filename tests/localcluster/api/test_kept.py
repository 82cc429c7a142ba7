"""`Kept` without a cluster: what is removed when, and what is not."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import pytest

from localcluster.api.kept import Kept
from localcluster.driver.context_cleaner import ContextCleaner
from localcluster.shuffle.payload import IN_TASK
from storage.block_id import BroadcastBlockId
from tests.localcluster.rdd.local_context import LocalContext


class Cluster:
    """Notes what it is told to remove."""

    closed = False

    def __init__(self) -> None:
        self.removed: list[Any] = []
        self.status = SimpleNamespace(persisted=WeakValueDictionary(), kept_rdds=set())
        self.blocks = self  # those of the driver

    def check_usable(self) -> None:
        pass

    def put_broadcast(self, what: str, *chunks: Any) -> BroadcastBlockId:
        return BroadcastBlockId(7, what)

    def remove_broadcast(self, broadcast_id: int) -> None:
        self.removed.append(("broadcast", broadcast_id))

    def remove_rdd(self, rdd_id: int, blocking: bool = False) -> None:
        self.removed.append(("rdd", rdd_id, blocking))

    def remove_shuffle(self, shuffle_id: int, blocking: bool = False) -> None:
        self.removed.append(("shuffle", shuffle_id, blocking))

    def later(self, work: Any) -> None:
        work()


class Bench:
    def __init__(self, cleans_checkpoints: bool = False) -> None:
        self.cluster = Cluster()
        self.cleaner = ContextCleaner(lambda: None)
        self.kept = Kept(self.cluster, self.cleaner, None, cleans_checkpoints)  # type: ignore[arg-type]
        self.sc = LocalContext()

    def removed(self) -> list[Any]:
        """After the collector and a round of the event loop."""
        gc.collect()
        self.cleaner.run()
        return self.cluster.removed


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_blocks_go_once_when_their_rdd_is_collected(bench: Bench) -> None:
    rdd = bench.sc.range(3).map(abs)
    bench.kept.persist(rdd)
    bench.kept.persist(rdd)
    assert list(bench.cluster.status.persisted) == [rdd.id()]
    assert bench.removed() == []
    expected = [("rdd", rdd.id(), False)]
    del rdd
    assert bench.removed() == expected
    assert not bench.cluster.status.persisted


def test_blocks_go_at_once_when_they_are_not_wanted_any_more(bench: Bench) -> None:
    rdd = bench.sc.range(3)
    bench.kept.persist(rdd)
    bench.kept.unpersist(rdd.id(), blocking=True)
    assert bench.cluster.removed == [("rdd", rdd.id(), True)]
    assert not bench.cluster.status.persisted
    bench.cluster.closed = True
    bench.kept.unpersist(rdd.id(), blocking=True)
    assert len(bench.cluster.removed) == 1


def test_outputs_of_a_shuffle_go_when_its_dependency_is_collected(bench: Bench) -> None:
    rdd = bench.sc.parallelize([(1, 2)]).groupByKey()
    while not hasattr(rdd.dependencies[0], "shuffle"):
        rdd = rdd.dependencies[0].rdd
    bench.kept.register_shuffle(rdd.dependencies[0])
    expected = [("shuffle", rdd.dependencies[0].shuffle.id, False)]
    assert bench.removed() == []
    del rdd
    assert bench.removed() == expected


@pytest.mark.parametrize("cleans", [False, True])
def test_checkpoints_stay_unless_the_settings_say_otherwise(cleans: bool, tmp_path: Path) -> None:
    bench, directory = Bench(cleans), tmp_path / "rdd-1"
    directory.mkdir()
    rdd = bench.sc.range(3)
    bench.kept.register_checkpoint(rdd, str(directory))
    del rdd
    assert bench.removed() == []
    assert directory.exists() is not cleans


def test_a_small_partition_is_its_bytes_and_a_large_one_a_block_as_long_as_it_lives(bench: Bench) -> None:
    assert isinstance(bench.kept.put_partition([1, 2]).payload, bytes)
    large = bench.kept.put_partition([bytes(2 * IN_TASK)])
    assert large.payload == BroadcastBlockId(7, "data")
    assert bench.removed() == []
    del large
    assert bench.removed() == [("broadcast", 7)]
