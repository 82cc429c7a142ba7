"""RDDs without data, for tests of planning: partitions and dependencies and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from localcluster.driver.planner import Planner
from localcluster.rdd.dependency import Dependency, OneToOneDependency, ShuffleDependency
from localcluster.rdd.partition import Partition
from localcluster.scheduler.stage import Job


class Rdds:
    """Makes RDDs and plans their jobs."""

    def __init__(self) -> None:
        self._rdd_ids, self._shuffle_ids, self._job_ids, self._stage_ids = count(), count(), count(), count()
        self.slots = 8  # of the cluster, for barrier stages
        self.pickled: list[int] = []  # ids of the RDDs whose stage was pickled
        self.kept: list[object] = []  # what running jobs keep alive

    def source(self, partitions: int) -> FakeRDD:
        return FakeRDD(self, partitions, ())

    def narrow(self, *parents: FakeRDD) -> FakeRDD:
        return FakeRDD(self, parents[0].getNumPartitions(), tuple(OneToOneDependency(p) for p in parents))  # type: ignore[arg-type]

    def barrier(self, parent: FakeRDD) -> FakeRDD:
        rdd = self.narrow(parent)
        rdd.starts_barrier = True
        return rdd

    def shuffled(self, *parents: FakeRDD, partitions: int | None = None) -> FakeRDD:
        dependencies = tuple(ShuffleDependency(parent, partitioner=None) for parent in parents)  # type: ignore[arg-type]
        return FakeRDD(self, partitions or parents[0].getNumPartitions(), dependencies)

    def job(self, rdd: FakeRDD, partitions: Sequence[int] | None = None) -> Job:
        planner = Planner(self._pickle, self._stage_ids.__next__, self.slots, None)  # type: ignore[arg-type]
        chosen = range(rdd.getNumPartitions()) if partitions is None else partitions
        stage = planner.result_stage(rdd, "action", chosen, "action")  # type: ignore[arg-type]
        self.kept += planner.lineage
        return Job(next(self._job_ids), stage, planner.map_stages, {}, [].append)

    def _pickle(self, rdd: Any, action: Any, keeper: ShuffleDependency | None) -> bytes:
        self.pickled.append(rdd.id())
        return b"binary"

    # what RDDs and dependencies ask of their context

    @property
    def _kept(self) -> Rdds:
        return self

    def _next_rdd_id(self) -> int:
        return next(self._rdd_ids)

    def _next_shuffle_id(self) -> int:
        return next(self._shuffle_ids)

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        pass


class FakeRDD:
    """What planning knows of an RDD."""

    starts_barrier = False

    def __init__(self, ctx: Rdds, partitions: int, dependencies: tuple[Dependency, ...]) -> None:
        self.ctx = ctx
        self.dependencies = dependencies
        self._id = ctx._next_rdd_id()
        self._count = partitions

    def id(self) -> int:
        return self._id

    def name(self) -> str | None:
        return None

    def getNumPartitions(self) -> int:
        return self._count

    def _partitions(self) -> list[Partition]:
        return [Partition(index) for index in range(self._count)]

    @property
    def shuffle_ids(self) -> list[int]:
        return [d.shuffle.id for d in self.dependencies if isinstance(d, ShuffleDependency)]
