"""The cut of a job's lineage into stages, at its shuffles.

Runs in the thread that submits the job, without the driver's lock, since pickling a lineage may take long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from localcluster.driver.barrier_stage import is_barrier_stage
from localcluster.driver.block_master import BlockMaster
from localcluster.driver.stage_inputs import LineageInputs
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.lineage import narrow_lineage, parents_first
from localcluster.scheduler.stage import Stage
from localcluster.shuffle.payload import Payload


class Planner:
    """Plans one job.

    ``pickle_stage`` is given a stage's last RDD, what is done with it and who keeps the outcome: a map stage's
    dependency does, as iterative jobs plan the same ancestors again and again. ``slots`` is how many tasks the cluster
    runs at once, which bounds barrier stages.
    """

    def __init__(
        self,
        pickle_stage: Callable[[RDDCore[Any], Any, ShuffleDependency | None], Payload],
        next_stage_id: Callable[[], int],
        slots: int,
        blocks: BlockMaster,
    ) -> None:
        self._pickle_stage = pickle_stage
        self._next_stage_id = next_stage_id
        self._slots = slots
        self._blocks = blocks
        self.map_stages: dict[int, Stage] = {}  # {shuffle id: its map stage}
        self.lineage: list[Any] = []
        """What the stages are computed from, to be kept by the job's own thread as long as the job runs."""

    def result_stage(self, rdd: RDDCore[Any], action: Any, partitions: Sequence[int], name: str) -> Stage:
        """The stage that does ``action`` with these partitions. Plans the map stages that it needs, parents first.

        Raises JobError for a barrier stage that cannot run, and what pickling raises.
        """
        members = list(narrow_lineage(rdd))
        shuffles = _shuffles(members)
        for dependency in parents_first(shuffles, lambda behind: _shuffles(narrow_lineage(behind.rdd))):
            self.map_stages[dependency.shuffle.id] = self._map_stage(dependency)
        together = is_barrier_stage(members, len(partitions), self._slots)
        inputs = LineageInputs(rdd, partitions, self._blocks)  # before the binary: see `RDDCore._cut_lineage`
        binary = self._pickle_stage(rdd, action, None)
        self.lineage.append(rdd)
        return Stage(self._next_stage_id(), name, None, _ids(shuffles), partitions, binary, inputs, together)

    def _map_stage(self, dependency: ShuffleDependency) -> Stage:
        rdd, shuffle = dependency.rdd, dependency.shuffle
        members = list(narrow_lineage(rdd))
        parents = _ids(_shuffles(members))
        partitions = range(rdd.getNumPartitions())
        together = is_barrier_stage(members, len(partitions), self._slots)
        inputs = LineageInputs(rdd, partitions, self._blocks)  # before the binary: see `RDDCore._cut_lineage`
        ids = [member.id() for member in members]
        if dependency.stage_binary is None or dependency.stage_binary[0] != ids:  # a checkpoint has come between
            dependency.stage_binary = ids, self._pickle_stage(rdd, shuffle, dependency)
        _, binary = dependency.stage_binary
        self.lineage.append(dependency)
        name = dependency.call_site
        return Stage(self._next_stage_id(), name, shuffle.id, parents, partitions, binary, inputs, together)


def _shuffles(members: Iterable[RDDCore[Any]]) -> list[ShuffleDependency]:
    """The shuffles that feed a stage of these RDDs."""
    return [d for member in members for d in member.dependencies if isinstance(d, ShuffleDependency)]


def _ids(shuffles: Iterable[ShuffleDependency]) -> tuple[int, ...]:
    return tuple(dependency.shuffle.id for dependency in shuffles)
