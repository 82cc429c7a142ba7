"""RDDs of records that can be computed twice: by simulated tasks, and by the model, which says what is right.

Planned by the real planner into real stages. A record is a number; a source has some, a narrow RDD changes each, a
shuffle moves each to the partition that it belongs to.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import count
from typing import Any

from localcluster.driver.block_master import BlockMaster
from localcluster.driver.planner import Planner
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import Dependency, OneToOneDependency, ShuffleDependency
from localcluster.rdd.partition import Partition
from localcluster.scheduler.stage import Job, JobEvent
from storage.storage_level import StorageLevel

RECORDS = 3  # in a partition of a source
Records = tuple[int, ...]


class SimulatedRDD:
    """What the driver's parts ask of an RDD, and how its records come about."""

    starts_barrier = False
    preferred_locations = RDDCore.preferred_locations  # no wish
    bad: frozenset[int] = frozenset()  # partitions whose computation always raises

    def __init__(self, rdds: Rdds, partitions: int, dependencies: tuple[Dependency, ...]) -> None:
        self.ctx = rdds
        self.dependencies = dependencies
        self.level = StorageLevel.NONE
        self._id = next(rdds.rdd_ids)
        self._count = partitions
        rdds.by_id[self._id] = self

    def id(self) -> int:
        return self._id

    def getNumPartitions(self) -> int:
        return self._count

    def getStorageLevel(self) -> StorageLevel:
        return self.level

    def _partitions(self) -> list[Partition]:
        return [Partition(index) for index in range(self._count)]

    # --- records ---

    @property
    def shuffles(self) -> list[ShuffleDependency]:
        return [d for d in self.dependencies if isinstance(d, ShuffleDependency)]

    def source(self, index: int) -> Records:
        return tuple(self._id * 1_000_000 + index * 1_000 + number for number in range(RECORDS))

    def change(self, records: Records) -> Records:
        return tuple(record * 31 + self._id for record in records)

    def model(self, index: int) -> Records:
        """What partition ``index`` must be."""
        known: dict[tuple[int, int], Records] = self.ctx.known
        if (self._id, index) not in known:
            known[self._id, index] = self._model(index)
        return known[self._id, index]

    def _model(self, index: int) -> Records:
        if not self.dependencies:
            return self.source(index)
        (dependency,) = self.dependencies
        parent: Any = dependency.rdd
        if not isinstance(dependency, ShuffleDependency):
            return self.change(parent.model(index))
        maps = (parent.model(number) for number in range(parent.getNumPartitions()))
        return tuple(record for records in maps for record in records if record % self._count == index)


def parts_of(records: Records, partitions: int) -> list[Records]:
    """Of one map task, by reduce partition."""
    return [tuple(record for record in records if record % partitions == index) for index in range(partitions)]


class Rdds:
    """Makes RDDs and plans their jobs. What a driver's context is to them."""

    def __init__(self, slots: int) -> None:
        self.rdd_ids, self._shuffle_ids, self._job_ids, self._stage_ids = count(), count(), count(), count()
        self.by_id: dict[int, SimulatedRDD] = {}
        self.readers: dict[int, SimulatedRDD] = {}  # {shuffle id: the RDD that reads it}
        self.known: dict[tuple[int, int], Records] = {}
        self._slots = slots
        self._kept_lineages: list[object] = []

    def source(self, partitions: int) -> SimulatedRDD:
        return SimulatedRDD(self, partitions, ())

    def narrow(self, parent: SimulatedRDD, *, barrier: bool = False) -> SimulatedRDD:
        rdd = SimulatedRDD(self, parent.getNumPartitions(), (OneToOneDependency(parent),))  # type: ignore[arg-type]
        rdd.starts_barrier = barrier
        return rdd

    def shuffled(self, parent: SimulatedRDD, partitions: int) -> SimulatedRDD:
        dependency = ShuffleDependency(parent, partitioner=None)  # type: ignore[arg-type]
        rdd = SimulatedRDD(self, partitions, (dependency,))
        self.readers[dependency.shuffle.id] = rdd
        return rdd

    def job(self, rdd: SimulatedRDD, master: BlockMaster, deliver: Callable[[JobEvent], None]) -> Job:
        """A job that wants the records of all partitions. Raises JobError for a barrier stage that has no room."""
        planner = Planner(_pickle_stage, self._stage_ids.__next__, self._slots, master)
        partitions = range(rdd.getNumPartitions())
        stage = planner.result_stage(rdd, None, partitions, f"collect {rdd.id()}")  # type: ignore[arg-type]
        self._kept_lineages += planner.lineage
        return Job(next(self._job_ids), stage, planner.map_stages, {}, deliver)

    # what dependencies ask of their context

    @property
    def _kept(self) -> Rdds:
        return self

    def _next_shuffle_id(self) -> int:
        return next(self._shuffle_ids)

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        """Nobody cleans up behind a simulated context."""


def _pickle_stage(rdd: Any, action: Any, keeper: ShuffleDependency | None) -> bytes:
    """What a stage's binary says: which RDD, and which shuffle it is the map side of."""
    return pickle.dumps((rdd.id(), None if keeper is None else keeper.shuffle.id))
