"""The program of a seed: its RDDs, the jobs that it runs and when, what it cancels, how many executors it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.rdd.lineage import narrow_lineage
from protocol.block_messages import RemoveRdd, RemoveShuffle
from storage.storage_level import StorageLevel
from tests.simulation.rdds import SimulatedRDD

if TYPE_CHECKING:
    from tests.simulation.world import World

LEVELS = (
    StorageLevel.MEMORY_ONLY,
    StorageLevel.MEMORY_ONLY_2,
    StorageLevel.OFF_HEAP,
    StorageLevel(True, True, True, False, 2),
    StorageLevel.DISK_ONLY,
    StorageLevel.DISK_ONLY_2,
)
SLOTS = 6


class Program:
    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._to_start = self._random.randint(1, 4)
        self.ends_at = 0.0
        """When its last job is started at the latest, in seconds."""
        self._rdds: list[SimulatedRDD] = []
        self.changes_executors = self._random.random() < 0.2

    @property
    def is_over(self) -> bool:
        """Whether it has started all its jobs."""
        return self._to_start == 0

    def start(self) -> None:
        clock, random = self._world.clock, self._random
        for _ in range(self._to_start):
            at = random.choice([0.0, random.uniform(0.0, 1.0), random.uniform(0.0, self._world.faults.until)])
            self.ends_at = max(self.ends_at, at)
            clock.later(at, self._start_job)
        self._stops_at = random.uniform(0.0, 10.0) if random.random() < 0.1 else None
        if self._stops_at is not None:
            clock.later(self._stops_at, self._world.driver.stop)
        if self.changes_executors:
            for _ in range(2):
                wanted = random.randint(1, 4)
                clock.later(random.uniform(0.0, 5.0), lambda wanted=wanted: self._want(wanted))  # type: ignore[misc]

    def _want(self, executors: int) -> None:
        if self._world.driver.has_stopped:
            return
        self._world.trace("program", "wants executors:", executors)
        self._world.driver.backend.pool.set_target(executors)

    def _start_job(self) -> None:
        self._to_start -= 1
        if self._world.driver.has_stopped:
            return
        random = self._random
        if self._rdds and random.random() < 0.5:
            rdd = random.choice(self._rdds)
        else:
            rdd = self._make()
            self._rdds.append(rdd)
        if random.random() < 0.2:
            self._world.clock.later(random.uniform(0.0, 1.0), lambda: self._unpersist(rdd))
        running = self._world.driver.run(rdd)
        if random.random() < 0.1:
            self._world.clock.later(random.uniform(0.0, 2.0), lambda: self._world.driver.cancel(running))

    def _make(self) -> SimulatedRDD:
        """A lineage of up to two shuffles."""
        rdds, random = self._world.rdds, self._random
        rdd = self._maybe_kept(rdds.source(random.randint(1, 12)))
        for _ in range(random.choice([0, 1, 1, 2])):
            rdd = self._maybe_kept(self._narrow(rdd))
            rdd = self._maybe_kept(rdds.shuffled(rdd, random.randint(1, 8)))
        rdd = self._maybe_kept(self._narrow(rdd))
        if random.random() < 0.05:
            rdd.bad = frozenset([0])
        return rdd

    def _narrow(self, rdd: SimulatedRDD) -> SimulatedRDD:
        fits = rdd.getNumPartitions() <= SLOTS
        return self._world.rdds.narrow(rdd, barrier=fits and self._random.random() < 0.2)

    def _maybe_kept(self, rdd: SimulatedRDD) -> SimulatedRDD:
        if self._random.random() < 0.3:
            rdd.level = self._random.choice(LEVELS)
        return rdd

    def _unpersist(self, rdd: SimulatedRDD) -> None:
        """While a job may use it, and goes on to keep what it computes."""
        for each in narrow_lineage(rdd):  # type: ignore[arg-type]
            if each.getStorageLevel().is_valid and not self._world.driver.has_stopped:
                self._world.trace("program", "unpersists", each.id())
                self._world.driver.tell(RemoveRdd(each.id()))

    def clean(self) -> None:
        """Let go of everything that is kept."""
        driver = self._world.driver
        for rdd in self._world.rdds.by_id.values():
            if rdd.level.is_valid:
                driver.tell(RemoveRdd(rdd.id()))
        for shuffle_id in self._world.rdds.readers:
            driver.backend.forget_shuffle(shuffle_id)
            driver.tell(RemoveShuffle(shuffle_id))
