"""What executors report and ask, told to whom it concerns: the scheduler, the block master, the table of map outputs.

Under the driver's lock. Covers what keeps blocks alive beyond their executor, which must happen before anybody else
hears of them. Does not send what the scheduler decides then (``cluster``, ``instructions``).
"""

from __future__ import annotations

import os
import time
from typing import cast

from localcluster.driver.block_master import BlockMaster
from localcluster.driver.executor_pool import ExecutorPool
from localcluster.driver.instructions import Instructions
from localcluster.driver.map_output_server import MapOutputServer
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from protocol import cluster_messages as c
from protocol.block_messages import UpdateBlockInfo
from protocol.endpoint import Incoming
from protocol.task_output import InBlock
from storage.block_id import BlockId, TaskResultBlockId
from storage.block_table import path_of


class ExecutorMessages:
    def __init__(
        self,
        dag: DAGScheduler,
        pool: ExecutorPool,
        instructions: Instructions,
        master: BlockMaster,
        outputs: MapOutputTracker,
        map_outputs: MapOutputServer,
    ) -> None:
        self._dag = dag
        self._pool = pool
        self._instructions = instructions
        self._master = master
        self._outputs = outputs
        self._map_outputs = map_outputs

    def receive(self, executor_id: str, incoming: Incoming) -> bool:
        """Handle a message. Returns whether it was the scheduler's, which may have something to send now."""
        message, now = incoming.message, time.monotonic()
        if isinstance(message, c.TasksFinished):
            for result in message.results:
                self._instructions.task_ended(result.task_id)
            self._keep_results(executor_id, message)
            self._dag.tasks_finished(executor_id, message.results, now)
        elif isinstance(message, c.TaskFailed):
            self._instructions.task_ended(message.task_id)
            if message.fetch is not None:
                self._lose_vanished_outputs(message.fetch[0])
            self._dag.task_failed(executor_id, message, now)
        elif isinstance(message, c.TaskKilled):
            self._instructions.task_ended(message.task_id)
            self._dag.task_given_back(executor_id, (message.task_id,), now)
        elif isinstance(message, c.TasksReturned):
            self._dag.task_given_back(executor_id, message.task_ids, now)
        elif isinstance(message, c.BarrierCall):
            self._dag.barrier_called(executor_id, message, now)
        elif isinstance(message, c.RegisterExecutor):
            self._pool.registered(executor_id)
            self._dag.executor_added(executor_id, message.cores, now)
        elif isinstance(message, c.LaunchFailed):
            self._pool.launch_failed(message)
        elif isinstance(message, c.GetMapOutputs):
            assert incoming.reply is not None
            self._map_outputs.answer(message.shuffle_id, incoming.reply)
            return False
        elif isinstance(message, UpdateBlockInfo):
            self._master.serve(executor_id, message, incoming.reply)
            return message.storage_level.is_valid and self._dag.block_stored(cast(BlockId, message.block_id))
        elif not isinstance(message, c.ExecutorHeartbeat):
            self._master.serve(executor_id, message, incoming.reply)
            return False
        return True

    def _keep_results(self, executor_id: str, message: c.TasksFinished) -> None:
        """Results that are blocks survive their executor from here on."""
        for result in message.results:
            if isinstance(result.output, InBlock):
                holder = self._pool.block_manager_id(executor_id)
                self._master.endpoint.register_shared(TaskResultBlockId(result.task_id), holder, result.output.location)

    def _lose_vanished_outputs(self, shuffle_id: int) -> None:
        """One output could not be read: look for others whose segment or file is gone too, to compute all at once."""
        for map_index, status in enumerate(self._outputs.table(shuffle_id)):
            if status is not None and not all(os.path.exists(path_of(b)) for b in status.blocks if b is not None):
                self._dag.output_lost(shuffle_id, map_index)
