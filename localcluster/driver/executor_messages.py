"""What executors report and ask, told to whom it concerns: the scheduler, the block master, the table of map outputs.

Under the driver's lock. Covers what keeps blocks alive beyond their executor, which must happen before anybody else
hears of them. Does not send what the scheduler decides then (``cluster``, ``instructions``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from localcluster.driver.block_master import BlockMaster
from localcluster.driver.executor_pool import ExecutorPool
from localcluster.driver.instructions import Instructions
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from protocol import cluster_messages as c
from protocol.block_messages import UpdateBlockInfo
from protocol.endpoint import Incoming, Reply
from protocol.locations import SharedLocation
from protocol.message_table import MessageTable
from protocol.task_output import InBlock
from storage.audit import is_whole
from storage.block_id import BlockId, TaskResultBlockId

Handler: TypeAlias = Callable[[str, Any, Reply | None], bool | None]
"""``(executor id, message, reply)``; whether the scheduler may have something to send now."""


class ExecutorMessages:
    """What executors say, handed to whom it concerns. Parts `register` their own messages beside the scheduler's."""

    def __init__(
        self,
        dag: DAGScheduler,
        pool: ExecutorPool,
        instructions: Instructions,
        master: BlockMaster,
        outputs: MapOutputTracker,
        is_whole: Callable[[SharedLocation], bool] = is_whole,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dag = dag
        self._pool = pool
        self._instructions = instructions
        self._master = master
        self._outputs = outputs
        self._is_whole = is_whole
        self._clock = clock
        self._handlers: MessageTable[Handler] = MessageTable("the driver")
        self.register = self._handlers.register
        self.register(
            {
                c.TasksFinished: self._tasks_finished,
                c.TaskFailed: self._task_failed,
                c.TaskKilled: self._task_killed,
                c.TasksReturned: self._tasks_returned,
                c.BarrierCall: self._barrier_called,
                c.RegisterExecutor: self._registered,
                c.LaunchFailed: lambda executor_id, message, reply: self._pool.launch_failed(message),
                UpdateBlockInfo: self._update_block_info,
            }
        )
        self.register(dict.fromkeys(master.endpoint.messages - {UpdateBlockInfo}, master.serve))

    def receive(self, executor_id: str, incoming: Incoming) -> bool | None:
        """Handle a message. Returns whether the scheduler may have something to send now."""
        message, reply = incoming
        handler = self._handlers.get(type(message))
        if handler is None:
            self._handlers.refuse(incoming)
            return None
        return handler(executor_id, message, reply)

    # --- the scheduler's ---

    def _tasks_finished(self, executor_id: str, message: c.TasksFinished, reply: Reply | None) -> bool:
        for result in message.results:
            self._instructions.task_ended(result.task_id)
        self._keep_results(executor_id, message)
        self._dag.tasks_finished(executor_id, message.results, self._clock())
        return True

    def _task_failed(self, executor_id: str, message: c.TaskFailed, reply: Reply | None) -> bool:
        self._instructions.task_ended(message.task_id)
        if message.fetch is not None:
            self._lose_vanished_outputs(message.fetch[0])
        self._dag.task_failed(executor_id, message, self._clock())
        return True

    def _task_killed(self, executor_id: str, message: c.TaskKilled, reply: Reply | None) -> bool:
        self._instructions.task_ended(message.task_id)
        self._dag.task_given_back(executor_id, (message.task_id,), self._clock())
        return True

    def _tasks_returned(self, executor_id: str, message: c.TasksReturned, reply: Reply | None) -> bool:
        self._dag.task_given_back(executor_id, message.task_ids, self._clock())
        return True

    def _barrier_called(self, executor_id: str, message: c.BarrierCall, reply: Reply | None) -> bool:
        self._dag.barrier_called(executor_id, message, self._clock())
        return True

    def _registered(self, executor_id: str, message: c.RegisterExecutor, reply: Reply | None) -> bool:
        self._dag.executor_added(executor_id, message.cores, self._clock())
        self._pool.registered(executor_id)  # after it, since it may have to drain at once
        return True

    def _update_block_info(self, executor_id: str, message: UpdateBlockInfo, reply: Reply | None) -> bool:
        self._master.serve(executor_id, message, reply)
        return message.storage_level.is_valid and self._dag.block_stored(cast(BlockId, message.block_id))

    def _keep_results(self, executor_id: str, message: c.TasksFinished) -> None:
        """Results that are blocks survive their executor from here on."""
        for result in message.results:
            if isinstance(result.output, InBlock):
                holder = self._pool.block_manager_id(executor_id)
                self._master.endpoint.register_shared(TaskResultBlockId(result.task_id), holder, result.output.location)

    def _lose_vanished_outputs(self, shuffle_id: int) -> None:
        """One output could not be read: look for others whose segment or file is gone too, to compute all at once."""
        for map_index, status in enumerate(self._outputs.table(shuffle_id)):
            if status is not None and not all(self._is_whole(b) for b in status.blocks if b is not None):
                self._dag.output_lost(shuffle_id, map_index)
