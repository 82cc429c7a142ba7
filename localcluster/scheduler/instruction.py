"""What the scheduler tells the driver to do, besides launching tasks (`task_scheduler.Launch`). Plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from localcluster.scheduler.barrier_attempt import BarrierAnswer
from localcluster.scheduler.exclusions import EndExecutor
from localcluster.scheduler.stage import Stage, TaskOutcome
from localcluster.scheduler.task_assignment import Launch
from localcluster.shuffle.map_status import MapStatus
from protocol.cluster_messages import TaskResult
from protocol.locations import SharedLocation
from protocol.task_output import InBlock, MapOutput


class Kill(NamedTuple):
    """Stop a task, queued or running, that nobody waits for."""

    executor_id: str
    task_id: int
    reason: str


class Recall(NamedTuple):
    """Ask back those of these tasks that did not start."""

    executor_id: str
    task_ids: tuple[int, ...]


class DropStage(NamedTuple):
    """A stage attempt launches nothing more: its binary may go."""

    executor_id: str
    stage_key: int


class Discard(NamedTuple):
    """A task's output that nobody waits for: its shared blocks are to be freed. ``shuffle_id`` is None for a result."""

    executor_id: str
    task_id: int
    shuffle_id: int | None
    blocks: tuple[SharedLocation | None, ...]


class OutputReady(NamedTuple):
    """A map output that the block master is to know of, so that it survives its executor."""

    shuffle_id: int
    map_index: int
    status: MapStatus


Instruction: TypeAlias = Launch | Kill | EndExecutor | Recall | DropStage | Discard | OutputReady | BarrierAnswer


def discards_of(outcomes: Iterable[TaskOutcome]) -> list[Instruction]:
    """Free what results take that their job does not want. The block master knows them, whoever wrote them."""
    in_blocks = [(outcome.task_id, outcome.result) for outcome in outcomes if isinstance(outcome.result, InBlock)]
    return [Discard("", task_id, None, (result.location,)) for task_id, result in in_blocks]


def discards(executor_id: str, result: TaskResult, stage: Stage | None) -> list[Instruction]:
    """Free what a task left in shared memory or files. The map output of an unknown task went with its executor."""
    output = result.output
    if isinstance(output, InBlock):
        return [Discard(executor_id, result.task_id, None, (output.location,))]
    if isinstance(output, MapOutput) and stage is not None and stage.shuffle_id is not None:
        return [Discard(executor_id, result.task_id, stage.shuffle_id, output.blocks)]
    return []
