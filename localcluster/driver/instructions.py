"""Carrying out what the scheduler decided: messages to executors, entries in the block master's tables.

Under the driver's lock. Also keeps time on kills: a task that does not end when told to takes its executor with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from localcluster.conf import logs
from localcluster.driver.block_master import BlockMaster
from localcluster.driver.executor_pool import ExecutorPool
from localcluster.scheduler.barrier_attempt import BarrierAnswer
from localcluster.scheduler.exclusions import EndExecutor
from localcluster.scheduler.instruction import Discard, DropStage, Instruction, Kill, OutputReady, Recall
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.task_assignment import Launch
from localcluster.scheduler.task_set import TaskSet
from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.map_status import MapStatus
from protocol import cluster_messages as c
from protocol.block_messages import RemoveBlock
from protocol.errors import ChannelError, FrameTooLargeError
from protocol.locations import DRIVER, SharedLocation
from protocol.message import Order
from storage.block_id import BlockId, TaskResultBlockId

log = logging.getLogger(__name__)


class Instructions:
    """Carries out what the scheduler decides: sends orders.

    ``kill_timeout``: seconds that a killed task may take to end. ``import_paths`` go with stages: see
    `StageDescription`.
    """

    def __init__(
        self,
        pool: ExecutorPool,
        master: BlockMaster,
        outputs: MapOutputTracker,
        shuffle_manager: type[ShuffleManager],
        kill_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._master = master
        self._outputs = outputs
        self._block_ids = shuffle_manager.block_ids
        self._kill_timeout = kill_timeout
        self._clock = clock
        self.import_paths: tuple[str, ...] = ()
        self._kills: dict[int, tuple[str, float]] = {}  # {task id: (executor id, deadline)}

    def carry_out(self, instructions: Sequence[Instruction]) -> list[tuple[str, c.TaskFailed]]:
        """(executor id, failure) of tasks that cannot be sent at all, for the scheduler."""
        unsendable: list[tuple[str, c.TaskFailed]] = []
        for instruction in instructions:
            if isinstance(instruction, Launch):
                unsendable += self._launch(instruction)
            elif isinstance(instruction, OutputReady):
                self._keep_output(instruction)
            elif isinstance(instruction, DropStage):
                self._send(instruction.executor_id, c.DropStage(instruction.stage_key))
            elif isinstance(instruction, Recall):
                self._send(instruction.executor_id, c.ReturnTasks(instruction.task_ids))
            elif isinstance(instruction, Kill):
                self._kill(instruction)
            elif isinstance(instruction, EndExecutor):
                self._pool.kill(instruction.executor_id, instruction.reason)
            elif isinstance(instruction, BarrierAnswer):
                self._send(instruction.executor_id, instruction.release)
            else:
                self._discard(instruction)
        return unsendable

    def task_ended(self, task_id: int) -> None:
        self._kills.pop(task_id, None)

    def executor_lost(self, executor_id: str) -> None:
        self._kills = {task: kill for task, kill in self._kills.items() if kill[0] != executor_id}

    def expire_kills(self, now: float) -> None:
        """End the executors of tasks that did not end in time."""
        for task_id, (executor_id, deadline) in list(self._kills.items()):
            if now >= deadline:
                del self._kills[task_id]
                self._pool.kill(
                    executor_id, f"task {task_id} did not end within {self._kill_timeout} s of being killed"
                )

    def _launch(self, launch: Launch) -> list[tuple[str, c.TaskFailed]]:
        task_set = launch.task_set
        description = None
        if launch.first:
            stage = task_set.stage
            description = c.StageDescription(
                stage.id,
                stage.attempt,
                stage.binary,
                task_set.properties,
                self._outputs.epoch,
                stage.name,
                _addresses(task_set),
                self.import_paths,
                logs.levels(),
            )
        return self._send_tasks(launch.executor_id, task_set, description, launch.tasks)

    def _send_tasks(
        self,
        executor_id: str,
        task_set: TaskSet,
        description: c.StageDescription | None,
        tasks: tuple[c.TaskDescription, ...],
    ) -> list[tuple[str, c.TaskFailed]]:
        try:
            self._send(executor_id, c.LaunchTasks(task_set.key, description, tasks))
        except FrameTooLargeError as error:
            some, others = tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]
            if some and not self._send_tasks(executor_id, task_set, description, some):
                return self._send_tasks(executor_id, task_set, None, others)
            # Also those that would fit: the failure of one ends their stage.
            return [(executor_id, _too_large(task_set, task, error)) for task in tasks]
        return []

    def _kill(self, kill: Kill) -> None:
        self._kills[kill.task_id] = (kill.executor_id, self._clock() + self._kill_timeout)
        self._send(kill.executor_id, c.KillTask(kill.task_id, kill.reason))

    def _keep_output(self, output: OutputReady) -> None:
        """Map outputs survive their executor from here on."""
        status = output.status
        holder = self._pool.block_manager_id(status.executor_id)
        for block_id, location in self.blocks_of(output.shuffle_id, status):
            self._master.endpoint.register_shared(block_id, holder, location)

    def blocks_of(self, shuffle_id: int, status: MapStatus) -> list[tuple[BlockId, SharedLocation]]:
        """The blocks of a map output, but for those that it has not got, being empty."""
        block_ids = self._block_ids(shuffle_id, status.map_id, status.blocks)
        placed = zip(block_ids, status.blocks, strict=True)
        return [(block_id, location) for block_id, location in placed if location is not None]

    def _discard(self, discard: Discard) -> None:
        """Results are known to the master, outputs that came too late only to the executor that wrote them."""
        if discard.shuffle_id is None:
            self._master.receive(DRIVER, RemoveBlock(TaskResultBlockId(discard.task_id)))
            return
        for block_id in self._block_ids(discard.shuffle_id, discard.task_id, discard.blocks):
            self._send(discard.executor_id, RemoveBlock(block_id))

    def _send(self, executor_id: str, order: Order) -> None:
        try:
            self._pool.send(executor_id, order)
        except FrameTooLargeError:
            raise
        except ChannelError as error:
            # Its death will be noticed by its pipes; then its tasks are requeued.
            log.debug("%s did not reach executor %s: %s", type(order).__name__, executor_id, error)


def _addresses(task_set: TaskSet) -> tuple[str, ...]:
    """Of the tasks of a barrier stage, which are all launched by now, by position."""
    if task_set.barrier is None:
        return ()
    tasks = sorted(task_set.running.values(), key=lambda task: task.position)
    return tuple(f"127.0.0.1:{task.executor_id}" for task in tasks)


def _too_large(task_set: TaskSet, task: c.TaskDescription, error: FrameTooLargeError) -> c.TaskFailed:
    text = (
        f"Serialized task {task_set.stage.id}:{task.partition_index} is too large to be sent: {error}. Its partition "
        "and the local properties of the job travel with it: consider more partitions, or broadcasts for large values."
    )
    return c.TaskFailed(task.task_id, None, "fatal", text)
