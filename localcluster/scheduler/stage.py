"""Stages and jobs: what the DAG scheduler moves around.

Passive records. Does not know where stages come from (``driver.planner``) or when they run (`dag_scheduler`). Follows
Spark's ``Stage`` (a ``ShuffleMapStage`` is a stage with a shuffle, a ``ResultStage`` one without) and ``ActiveJob``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from localcluster.shuffle.payload import Payload
from protocol.task_output import InBlock, Inline
from storage.block_id import BlockId


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


Missing: TypeAlias = Callable[[int], Sequence[BlockId]]
"""{position: the cached blocks that its task would compute and keep}, at the moment of the call."""


class StageInputs(Protocol):
    """What a stage is computed from. The driver knows; the scheduler asks, under the driver's lock."""

    def encode(self, position: int) -> bytes:
        """A position's partition, as it travels with its task. Raises what pickling raises."""

    def preferences(self, positions: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """{position: ids of the executors where it would like to run}, for those positions that have a wish."""

    def missing_blocks(self) -> Missing | None:
        """None: no position's task keeps any block."""


@dataclass(eq=False)
class Stage:
    """A set of partitions computed without a shuffle in between. ``partitions`` are their indices, by position.
    Shuffles are named by their ids.
    """

    id: int
    name: str
    shuffle_id: int | None  # that it is the map side of
    parent_shuffles: tuple[int, ...]
    partitions: Sequence[int]
    binary: Payload  # the pickled lineage and action that executors run
    inputs: StageInputs
    is_barrier: bool = False
    attempt: int = -1
    jobs: set[Job] = field(default_factory=set)
    done: set[int] = field(default_factory=set)  # positions whose result has been delivered (result stages)
    result_size: int = 0  # bytes of those results
    fetch_failures: int = 0  # consecutive attempts that ended in a fetch failure
    barrier_failures: int = 0  # consecutive attempts of a barrier stage that ended because a task failed
    setback: str = ""  # why it is to run again, for part of its partitions at least


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
