"""The cut of a job's lineage into stages, at its shuffles.

Runs in the thread that submits the job, without the driver's lock, since pickling a lineage may take long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from localcluster.driver.barrier_stage import check_barrier_stage, is_barrier
from localcluster.driver.block_master import BlockMaster
from localcluster.driver.stage_inputs import LineageInputs
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.lineage import narrow_lineage
from localcluster.scheduler.stage import Stage
from localcluster.shuffle.payload import Payload


def shuffle_parents(rdd: RDDCore[Any]) -> dict[int, ShuffleDependency]:
    """{shuffle id: dependency}: the shuffles that feed ``rdd`` with no other shuffle in between."""
    found: dict[int, ShuffleDependency] = {}
    for member in narrow_lineage(rdd):
        for dependency in member.dependencies:
            if isinstance(dependency, ShuffleDependency):
                found.setdefault(dependency.shuffle.id, dependency)
    return found


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
        parents = shuffle_parents(rdd)
        self._plan_map_stages(parents.values())
        together = self._runs_together(rdd, len(partitions))
        all_partitions = rdd._partitions()  # before the binary: see `RDDCore._cut_lineage`
        binary = self._pickle_stage(rdd, action, None)
        self.lineage.append(rdd)
        inputs = LineageInputs(rdd, all_partitions, partitions, self._blocks)
        return Stage(self._next_stage_id(), name, None, tuple(parents), partitions, binary, inputs, together)

    def _plan_map_stages(self, dependencies: Collection[ShuffleDependency]) -> None:
        """Parents before children, with a stack of our own in place of recursion."""
        stack = list(dependencies)[::-1]
        while stack:
            dependency = stack[-1]
            shuffle_id = dependency.shuffle.id
            if shuffle_id in self.map_stages:
                stack.pop()
                continue
            parents = shuffle_parents(dependency.rdd)
            unplanned = [parent for parent_id, parent in parents.items() if parent_id not in self.map_stages]
            if unplanned:
                stack.extend(reversed(unplanned))
                continue
            stack.pop()
            self.map_stages[shuffle_id] = self._map_stage(dependency, tuple(parents))

    def _map_stage(self, dependency: ShuffleDependency, parents: tuple[int, ...]) -> Stage:
        rdd, shuffle = dependency.rdd, dependency.shuffle
        all_partitions = rdd._partitions()  # before the binary: see `RDDCore._cut_lineage`
        partitions = range(len(all_partitions))
        together = self._runs_together(rdd, len(partitions))
        members = [member.id() for member in narrow_lineage(rdd)]
        if dependency.stage_binary is None or dependency.stage_binary[0] != members:  # a checkpoint has come between
            dependency.stage_binary = members, self._pickle_stage(rdd, shuffle, dependency)
        stage_id, (_, binary) = self._next_stage_id(), dependency.stage_binary
        self.lineage.append(dependency)
        inputs = LineageInputs(rdd, all_partitions, partitions, self._blocks)
        return Stage(stage_id, dependency.call_site, shuffle.id, parents, partitions, binary, inputs, together)

    def _runs_together(self, rdd: RDDCore[Any], tasks: int) -> bool:
        """Whether the stage is a barrier stage. Raises JobError when it should be one and cannot."""
        if not is_barrier(rdd):
            return False
        check_barrier_stage(rdd, tasks, self._slots)
        return True
