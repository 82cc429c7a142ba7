"""Stages and jobs: what the DAG scheduler moves around, and the cut of a lineage into stages.

Covers passive records and planning. Decides nothing about when anything runs. Follows Spark's ``Stage`` (a
``ShuffleMapStage`` is a stage with a shuffle dependency, a ``ResultStage`` one without) and ``ActiveJob``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from protocol.locations import SharedLocation
from storage.block_id import BlockId

StageBinary: TypeAlias = bytes | BlockId
"""The pickled lineage and action that executors run: inline when small, else the block that holds it."""


class TaskOutcome(NamedTuple):
    """A finished task as the job's own thread sees it. ``position`` is the place in the job's output, None for a map
    task.
    """

    position: int | None
    task_id: int
    result: bytes | SharedLocation | None
    updates: bytes | None  # pickled accumulator updates


class JobEnd(NamedTuple):
    """Last event of a job; ``error`` is None when it succeeded."""

    error: BaseException | None


@dataclass(eq=False)
class Stage:
    """A set of partitions computed without a shuffle in between. ``partitions`` are indices of ``rdd``, by position."""

    id: int
    rdd: RDDCore[Any]
    shuffle: ShuffleDependency | None
    parent_shuffles: tuple[int, ...]
    binary: StageBinary
    partitions: Sequence[int]
    name: str
    attempt: int = -1
    jobs: set[Job] = field(default_factory=set)
    done: set[int] = field(default_factory=set)  # positions whose result has been delivered (result stages)
    fetch_failures: int = 0  # consecutive attempts that ended in a fetch failure


@dataclass(eq=False)
class Job:
    """One action: its stages, and the queue on which its own thread receives results as they come."""

    id: int
    final_stage: Stage
    map_stages: Mapping[int, Stage]  # {shuffle id: stage}, everything the job may need
    properties: Mapping[str, str]
    events: SimpleQueue[list[TaskOutcome] | JobEnd] = field(default_factory=SimpleQueue)


def narrow_lineage(rdd: RDDCore[Any]) -> Iterator[RDDCore[Any]]:
    """``rdd`` and everything it is computed from inside the same stage. Iterative: lineages can be thousands deep."""
    seen: set[int] = set()
    todo = [rdd]
    while todo:
        member = todo.pop()
        if member.id() not in seen:
            seen.add(member.id())
            yield member
            todo.extend(d.rdd for d in member.dependencies if not isinstance(d, ShuffleDependency))


def shuffle_parents(rdd: RDDCore[Any]) -> list[ShuffleDependency]:
    """The shuffles that feed ``rdd`` with no other shuffle in between, each once."""
    found: dict[int, ShuffleDependency] = {}
    for member in narrow_lineage(rdd):
        for dependency in member.dependencies:
            if isinstance(dependency, ShuffleDependency):
                found.setdefault(dependency.shuffle_id, dependency)
    return list(found.values())


class Planner:
    """Cuts one job's lineage into stages.

    Runs in the thread that submits the job, without the driver's lock, since pickling a lineage may take long. A map
    stage's binary is kept on its shuffle dependency: iterative jobs plan the same ancestors again and again.
    """

    def __init__(self, pickle_stage: Callable[[Any, Any], StageBinary], next_stage_id: Callable[[], int]) -> None:
        self._pickle_stage = pickle_stage
        self._next_stage_id = next_stage_id
        self.map_stages: dict[int, Stage] = {}  # {shuffle id: its map stage}

    def result_stage(self, rdd: RDDCore[Any], action: Any, partitions: Sequence[int], name: str) -> Stage:
        shuffles = shuffle_parents(rdd)
        self._plan_map_stages(shuffles)
        parents = tuple(shuffle.shuffle_id for shuffle in shuffles)
        return Stage(self._next_stage_id(), rdd, None, parents, self._pickle_stage(rdd, action), partitions, name)

    def _plan_map_stages(self, shuffles: list[ShuffleDependency]) -> None:
        """Parents before children, with a stack of our own in place of recursion."""
        stack = shuffles[::-1]
        while stack:
            shuffle = stack[-1]
            if shuffle.shuffle_id in self.map_stages:
                stack.pop()
                continue
            parents = shuffle_parents(shuffle.rdd)
            unplanned = [parent for parent in parents if parent.shuffle_id not in self.map_stages]
            if unplanned:
                stack.extend(reversed(unplanned))
                continue
            stack.pop()
            self.map_stages[shuffle.shuffle_id] = self._map_stage(shuffle, parents)

    def _map_stage(self, shuffle: ShuffleDependency, parents: list[ShuffleDependency]) -> Stage:
        if shuffle.stage_binary is None:
            shuffle.stage_binary = self._pickle_stage(shuffle.rdd, shuffle)
        partitions = range(shuffle.rdd.getNumPartitions())
        parent_ids = tuple(parent.shuffle_id for parent in parents)
        name = shuffle.rdd.name() or type(shuffle.rdd).__name__
        return Stage(self._next_stage_id(), shuffle.rdd, shuffle, parent_ids, shuffle.stage_binary, partitions, name)
