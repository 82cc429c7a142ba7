"""The driver's state machines put together: scheduler, block master, executor pool, and what goes between them.

Covers what follows from the messages of executors, their ends, and the passing of time. Has no thread, lock or pipe of
its own: its owner calls it under its lock, gives it a loop that reads pipes, a launcher, and a thread for what may
wait. So ``cluster`` runs it over processes, and ``tests/simulation`` over none, on virtual time. Follows Spark's
``CoarseGrainedSchedulerBackend``.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from localcluster.base.event_loop import EventLoop
from localcluster.base.side_thread import SideThread
from localcluster.conf.master_url import Layout
from localcluster.conf.settings import Settings, shared_memory
from localcluster.driver.block_master import BlockMaster
from localcluster.driver.executor_history import ExecutorHistory
from localcluster.driver.executor_loss import ExecutorLoss
from localcluster.driver.executor_messages import ExecutorMessages
from localcluster.driver.executor_pool import ExecutorPool
from localcluster.driver.heartbeats import Heartbeats
from localcluster.driver.instructions import Instructions
from localcluster.driver.liveness import LookAt, look_at
from localcluster.driver.map_output_server import MapOutputServer
from localcluster.driver.silence import SilenceWatch
from localcluster.launcher.client import LauncherClient
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.stage import Job
from localcluster.task.make_env import SHUFFLE_MANAGERS
from protocol import cluster_messages as c
from protocol.block_messages import ExpireDeadHosts, HasCachedBlocks
from protocol.endpoint import Incoming
from protocol.events import Recorder, nobody
from protocol.locations import DRIVER, SharedLocation
from protocol.message import Order
from storage.audit import is_whole
from storage.block_id import BlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint

BUSY_ROUND = 0.1  # seconds between rounds while jobs run
IDLE_ROUND = 0.5  # seconds between rounds otherwise
RECALL_PATIENCE = 0.05  # seconds that an executor may sit on queued tasks without a report while another idles


class SchedulerBackend:
    """Scheduler, block master and executor pool of one driver.

    ``outputs`` is the scheduler's table. ``put_table(bytes)`` stores a large one as a block, in the ``side`` thread.
    ``on_hopeless(reason)`` is called when there is no point in going on. ``first_orders()`` are told to an executor as
    soon as it can be reached. ``is_whole`` tells whether a block's bytes are where they should be, ``look(pid)`` what a
    process does.
    """

    def __init__(
        self,
        dag: DAGScheduler,
        outputs: MapOutputTracker,
        conf: Mapping[str, str],
        layout: Layout,
        launcher: LauncherClient,
        loop: EventLoop,
        side: SideThread,
        lock: AbstractContextManager[object],
        *,
        put_table: Callable[[bytes], BlockId],
        on_hopeless: Callable[[str], None],
        is_whole: Callable[[SharedLocation], bool] = is_whole,
        first_orders: Callable[[], Sequence[Order]] = tuple,
        record: Recorder = nobody,
        fault_in: Callable[[str], str | None] = lambda executor_id: None,
        clock: Callable[[], float] = time.monotonic,
        look: LookAt = look_at,
    ) -> None:
        self.dag, self.outputs = dag, outputs
        self._clock = clock
        settings = Settings(conf)
        self._network_timeout = settings.network_timeout
        self._silence = SilenceWatch(settings.executor_heartbeat_interval, self._network_timeout, look)
        self._speculation_interval = settings.speculation_interval if settings.speculation else math.inf
        self._speculate_at = 0.0  # seconds, of the clock
        self.pool = ExecutorPool(
            launcher,
            loop,
            c.LaunchExecutor("", layout.slots, conf, tuple(sys.path)),
            on_message=self._executor_message,
            on_lost=self._executor_lost,
            on_draining=self._executor_draining,
            on_hopeless=on_hopeless,
            silence=self._silence,
            has_cached_blocks=self._has_cached_blocks,
            tasks_of=dag.tasks_of,
            history=ExecutorHistory(settings.ui_retained_dead_executors),
            first_orders=first_orders,
            record=record,
            fault_in=fault_in,
            clock=clock,
        )
        endpoint = BlockManagerMasterEndpoint(
            shared_memory(settings), self._network_timeout, record=record, is_whole=is_whole
        )
        self.master = BlockMaster(endpoint, lock, side, self.pool.send, self.pool.ask, clock)
        self._map_outputs = MapOutputServer(self.outputs, self.master, side, put_table)
        self.instructions = Instructions(
            self.pool,
            self.master,
            self.outputs,
            SHUFFLE_MANAGERS[settings.shuffle_manager],
            settings.task_reaper_kill_timeout,
            clock,
        )
        self.messages = ExecutorMessages(
            self.dag, self.pool, self.instructions, self.master, self.outputs, is_whole, clock
        )
        self.heartbeats = Heartbeats(clock)
        self._loss = ExecutorLoss(self.dag, self.outputs, self.master, self.instructions, self.heartbeats, clock)
        self.messages.register({c.GetMapOutputs: self._map_outputs.serve, c.ExecutorHeartbeat: self.heartbeats.receive})

    # --- jobs ---

    def submit(self, job: Job) -> None:
        self.dag.submit(job, self._clock())
        self.perform()

    def cancel(self, job_id: int, reason: str) -> None:
        self.dag.cancel(job_id, reason)
        self.perform()

    def forget_shuffle(self, shuffle_id: int) -> None:
        """Its outputs are about to be removed."""
        self._map_outputs.forget(shuffle_id)
        self.outputs.unregister_shuffle(shuffle_id)

    def perform(self) -> None:
        """Carry out what the scheduler wants now."""
        while unsendable := self.instructions.carry_out(self.dag.take(self._clock())):
            for executor_id, failure in unsendable:
                self.dag.task_failed(executor_id, failure, self._clock())

    # --- time ---

    def round(self, now: float) -> float:
        """What has become due; how many seconds until the next round."""
        self.pool.expire(now)
        self.pool.watch(now)
        if now >= self._silence.awake_since + self._network_timeout:
            self.master.receive(DRIVER, ExpireDeadHosts())
        self.instructions.expire_kills(now)
        for executor_id in self.dag.drained_executors():
            self.pool.drained(executor_id)
        if not self.dag.jobs:
            return min(IDLE_ROUND, self._silence.round)
        self.dag.recall(now, RECALL_PATIENCE)
        self.dag.expire_barriers(now)
        self.dag.end_hopeless_barriers(self.pool.slots)
        if now >= self._speculate_at:
            self._speculate_at = now + self._speculation_interval
            self.dag.speculate(now)
        self.perform()
        return min(BUSY_ROUND, self._silence.round, self._speculation_interval)

    # --- executors ---

    def _executor_message(self, executor_id: str, incoming: Incoming) -> None:
        if self.messages.receive(executor_id, incoming):
            self.perform()

    def _executor_lost(self, executor_id: str, reason: str) -> None:
        self._loss(executor_id, reason)
        self.perform()

    def _has_cached_blocks(self, executor_id: str) -> bool:
        answer: bool = self.master.receive(DRIVER, HasCachedBlocks(executor_id)).result(0)
        return answer

    def _executor_draining(self, executor_id: str) -> None:
        self.dag.drain_executor(executor_id)
        self.perform()
