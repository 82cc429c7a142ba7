"""Plans that lose, cut short or corrupt blocks: jobs end with the undisturbed result, and the plan has fired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import add
from typing import Any

import numpy as np
import pytest

from localcluster import SparkContext, StorageLevel
from localcluster.events import BlockCorrupt, FaultFired


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    with SparkContext("local[2,4]") as context:
        yield context


def cached(sc: SparkContext, level: StorageLevel) -> Any:
    rdd = sc.parallelize(range(4), 4).map(lambda n: np.full(50_000, n)).persist(level)
    try:
        return [int(rdd.map(lambda array: int(array.sum())).sum()) for _ in range(3)]
    finally:
        rdd.unpersist(blocking=True)


def shuffled(sc: SparkContext) -> Any:
    rdd = sc.parallelize([(n % 7, n) for n in range(500)], 4).reduceByKey(add, 3)
    return [sorted(rdd.collect()) for _ in range(2)]


def broadcast(sc: SparkContext) -> Any:
    variable = sc.broadcast(np.arange(50_000))
    sums = [sc.parallelize(range(4), 4).map(lambda n: int(variable.value.sum()) + n).collect() for _ in range(2)]
    return sums, int(variable.value.sum())


def large_results(sc: SparkContext) -> Any:
    return sc.parallelize(range(1, 5), 4).map(lambda n: bytes([n]) * 100_000).collect()


JOBS: dict[str, tuple[str, Callable[[SparkContext], Any]]] = {
    "heap": ("rdd_*_1", lambda sc: cached(sc, StorageLevel.MEMORY_ONLY)),
    "shared memory": ("rdd_*_2", lambda sc: cached(sc, StorageLevel.OFF_HEAP)),
    "disk": ("rdd_*_3", lambda sc: cached(sc, StorageLevel.DISK_ONLY)),
    "two copies": ("rdd_*_0", lambda sc: cached(sc, StorageLevel.DISK_ONLY_2)),
    "map outputs": ("shuffle_*.data", shuffled),
    "indices": ("shuffle_*.index", shuffled),
    "a broadcast": ("broadcast_*[0-9]", broadcast),
    "results": ("taskresult_*", large_results),
}


@pytest.mark.parametrize("when", ["at=block_put nth=1", "at=block_read nth=2"])
@pytest.mark.parametrize("action", ["lose", "truncate", "corrupt"])
@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_with_its_result(sc: SparkContext, name: str, action: str, when: str) -> None:
    pattern, job = JOBS[name]
    expected = job(sc)
    before = len(sc.events())
    with sc.faults(f"{action} block={pattern} {when}"):
        assert job(sc) == expected
    happened = sc.events()[before:]
    assert [event for event in happened if isinstance(event, FaultFired)]
    if action == "corrupt" and name != "two copies":  # of which the other one may be read
        assert [event for event in happened if isinstance(event, BlockCorrupt)]
    assert job(sc) == expected
