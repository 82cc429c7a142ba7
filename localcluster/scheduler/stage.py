"""Stages and jobs: what the DAG scheduler moves around, and the cut of a lineage into stages.

Covers passive records and planning. Decides nothing about when anything runs. Follows Spark's ``Stage`` (a
``ShuffleMapStage`` is a stage with a shuffle, a ``ResultStage`` one without) and ``ActiveJob``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.lineage import narrow_lineage
from localcluster.rdd.partition import Partition
from localcluster.scheduler.barrier_stage import check_barrier_stage, is_barrier
from localcluster.shuffle.payload import Payload
from protocol.task_output import InBlock, Inline


class TaskOutcome(NamedTuple):
    """A finished task as the job's own thread sees it. ``position`` is the place in the job's output, None for a map
    task.
    """

    position: int | None
    task_id: int
    result: Inline | InBlock | None
    updates: bytes | None  # pickled accumulator updates


class JobEnd(NamedTuple):
    """Last event of a job; ``error`` is None when it succeeded. ``cause`` is the exception of the task that failed,
    pickled: the job's own thread unpickles it, since that runs the user's code.
    """

    error: BaseException | None
    cause: bytes | None = None


JobEvent: TypeAlias = list[TaskOutcome] | JobEnd
"""What came with one report, or the end. Blocks that hold results are then the receiver's to remove."""


@dataclass(eq=False)
class Stage:
    """A set of partitions computed without a shuffle in between. ``partitions`` are indices of ``rdd``, by position.
    ``inputs`` are all its partitions, as when ``binary`` was pickled: a checkpoint may cut the lineage meanwhile.

    RDDs are held weakly, and shuffles by their ids: whoever lets go of a lineage last runs the finalizers of the user's
    objects in it, which must not be the driver's event loop. `Planner.lineage` keeps them alive.
    """

    id: int
    rdd: ref[RDDCore[Any]]
    shuffle_id: int | None
    parent_shuffles: tuple[int, ...]
    binary: Payload  # the pickled lineage and action that executors run
    partitions: Sequence[int]
    name: str
    inputs: Sequence[Partition] = ()
    attempt: int = -1
    jobs: set[Job] = field(default_factory=set)
    done: set[int] = field(default_factory=set)  # positions whose result has been delivered (result stages)
    result_size: int = 0  # bytes of those results
    fetch_failures: int = 0  # consecutive attempts that ended in a fetch failure
    is_barrier: bool = False
    barrier_failures: int = 0  # consecutive attempts of a barrier stage that ended because a task failed


@dataclass(eq=False)
class Job:
    """One action: its stages, and to whom its results go as they come, then its end.

    ``deliver`` is called under the driver's lock, most often by the event loop: it must be quick and must not raise. If
    it raises, the job ends with that error; the driver goes on.
    """

    id: int
    final_stage: Stage
    map_stages: Mapping[int, Stage]  # {shuffle id: stage}, everything the job may need
    properties: Mapping[str, str]
    deliver: Callable[[JobEvent], None]


def shuffle_parents(rdd: RDDCore[Any]) -> dict[int, ShuffleDependency]:
    """{shuffle id: dependency}: the shuffles that feed ``rdd`` with no other shuffle in between."""
    found: dict[int, ShuffleDependency] = {}
    for member in narrow_lineage(rdd):
        for dependency in member.dependencies:
            if isinstance(dependency, ShuffleDependency):
                found.setdefault(dependency.shuffle.id, dependency)
    return found


class Planner:
    """Cuts one job's lineage into stages.

    Runs in the thread that submits the job, without the driver's lock, since pickling a lineage may take long.
    ``pickle_stage`` does that, given a stage's last RDD, what is done with it and who keeps the outcome: a map stage's
    dependency does, as iterative jobs plan the same ancestors again and again. ``slots`` is how many tasks the cluster
    runs at once, which bounds barrier stages.
    """

    def __init__(
        self,
        pickle_stage: Callable[[Any, Any, ShuffleDependency | None], Payload],
        next_stage_id: Callable[[], int],
        slots: int,
    ) -> None:
        self._slots = slots
        self._pickle_stage = pickle_stage
        self._next_stage_id = next_stage_id
        self.map_stages: dict[int, Stage] = {}  # {shuffle id: its map stage}
        self.lineage: list[Any] = []
        """What the stages are computed from, to be kept by the job's own thread as long as the job runs."""

    def result_stage(self, rdd: RDDCore[Any], action: Any, partitions: Sequence[int], name: str) -> Stage:
        parents = shuffle_parents(rdd)
        self._plan_map_stages(parents.values())
        together = self._runs_together(rdd, len(partitions))
        inputs = rdd._partitions()  # before the binary: see `RDDCore._cut_lineage`
        binary = self._pickle_stage(rdd, action, None)
        self.lineage.append(rdd)
        stage_id = self._next_stage_id()
        return Stage(stage_id, ref(rdd), None, tuple(parents), binary, partitions, name, inputs, is_barrier=together)

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
        rdd = dependency.rdd
        inputs = rdd._partitions()  # before the binary: see `RDDCore._cut_lineage`
        partitions = range(len(inputs))
        together = self._runs_together(rdd, len(partitions))
        members = [member.id() for member in narrow_lineage(rdd)]
        if dependency.stage_binary is None or dependency.stage_binary[0] != members:  # a checkpoint has come between
            dependency.stage_binary = members, self._pickle_stage(rdd, dependency.shuffle, dependency)
        stage_id, (_, binary) = self._next_stage_id(), dependency.stage_binary
        self.lineage.append(dependency)
        name = dependency.call_site
        return Stage(
            stage_id, ref(rdd), dependency.shuffle.id, parents, binary, partitions, name, inputs, is_barrier=together
        )

    def _runs_together(self, rdd: RDDCore[Any], tasks: int) -> bool:
        """Whether the stage is a barrier stage. Raises JobError when it should be one and cannot."""
        if not is_barrier(rdd):
            return False
        check_barrier_stage(rdd, tasks, self._slots)
        return True
