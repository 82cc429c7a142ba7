"""The driver's runtime: the glue between the pipes and the two state machines, scheduler and block master.

One lock guards the scheduler, the block master and the executor pool. Pipes are non-blocking with a backlog, so
whoever holds the lock may send; nobody waits for an answer while holding it. Threads: the event loop, the side thread
(work that may wait), and the user's threads, which submit jobs and wait for their results without the lock.
Does not plan or collect jobs (``job_runner``), does not know what executors may say (``executor_messages``), does not
decide anything about tasks or blocks (``scheduler``, ``storage``).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin only from Python 3.11 on
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

from localcluster.base.own_stacks import OwnStacks
from localcluster.base.py_files import SharedImportPath
from localcluster.conf import settings
from localcluster.conf.master_url import Layout
from localcluster.driver.block_master import BlockMaster
from localcluster.driver.event_loop import EventLoop
from localcluster.driver.executor_messages import ExecutorMessages
from localcluster.driver.executor_pool import ExecutorPool
from localcluster.driver.forked_lock import FORKED, ForkedLock
from localcluster.driver.heartbeats import Heartbeats
from localcluster.driver.instructions import Instructions
from localcluster.driver.map_output_server import MapOutputServer
from localcluster.driver.progress import Progress
from localcluster.driver.progress_views import progress_view
from localcluster.driver.side_thread import SideThread
from localcluster.driver.status import Status
from localcluster.driver.task_failure import task_failure
from localcluster.launcher.client import LauncherClient
from localcluster.launcher.interrupts import deferred
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.pools import FairOrder, SchedulingOrder, fifo
from localcluster.scheduler.stage import Job
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.task.env import Env, set_env
from localcluster.task.make_env import SHUFFLE_MANAGERS, make_env
from protocol import cluster_messages as c
from protocol.block_messages import (
    DropUnusedBlocks,
    RemoveBroadcast,
    RemoveExecutor,
    RemoveRdd,
    RemoveShuffle,
    StopBlockManagerMaster,
)
from protocol.endpoint import Incoming
from protocol.error_frames import load_cause
from protocol.errors import (
    BrokenChannelError,
    ChannelError,
    ClusterError,
    ContextError,
    RemoteAskError,
)
from protocol.forks import disown_in_forks
from protocol.locations import DRIVER
from protocol.message import Message, Report
from storage.block_id import BroadcastBlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint
from storage.block_store import BytesLike
from storage.disk_block_manager import configured_local_dirs
from storage.scratch import Scratch

log = logging.getLogger(__name__)

START_DEADLINE = 60.0  # seconds for the launcher to make the scratch space
STOP_DEADLINE = 20.0  # seconds for the launcher to end executors and remove everything
SIDE_DEADLINE = 5.0  # seconds for each of the driver's threads to end
BUSY_ROUND = 0.1  # seconds between rounds while jobs run
IDLE_ROUND = 0.5  # seconds between rounds otherwise
RECALL_PATIENCE = 0.05  # seconds that an executor may sit on queued tasks without a report while another idles


class Cluster:
    """`stop` ends it, however far `start` has come."""

    def __init__(self, launcher: LauncherClient, conf: Mapping[str, str], layout: Layout) -> None:
        order = _scheduling_order(conf)  # first, since it may raise
        self.conf = conf
        self.lock: AbstractContextManager[Any] = threading.RLock()
        self.error: ClusterError | None = None
        self.closed = False
        self._env: Env | None = None
        self._stacks: OwnStacks | None = None
        self._side = SideThread()
        self._loop = EventLoop(self.lock, self._round, self._crashed)
        self._launcher = launcher
        template = c.LaunchExecutor("", layout.slots, conf, tuple(sys.path))
        self.pool = ExecutorPool(
            self._launcher,
            self._loop,
            template,
            on_message=self._executor_message,
            on_lost=self._executor_lost,
            on_draining=self._executor_draining,
            on_hopeless=self._hopeless,
        )
        self.outputs = MapOutputTracker()
        self.dag = DAGScheduler(
            TaskScheduler(
                order=order,
                locality_wait=settings.value(conf, "spark.locality.wait"),
            ),
            self.outputs,
            describe_failure=task_failure,
            limits=_limits(conf, layout),
            history=JobHistory(
                settings.value(conf, "spark.ui.retainedJobs"), settings.value(conf, "spark.ui.retainedStages")
            ),
        )
        self._network_timeout = settings.value(conf, "spark.network.timeout")
        endpoint = BlockManagerMasterEndpoint(settings.shared_memory(conf))
        self.master = BlockMaster(endpoint, self.lock, self._side, self.pool.send, self.pool.ask)
        self._map_outputs = MapOutputServer(
            self.outputs, self.master, self._side, lambda table: self.put_broadcast("outputs", table)
        )
        kill_timeout = settings.value(conf, "spark.task.reaper.killTimeout")
        shuffle_manager = SHUFFLE_MANAGERS[settings.value(conf, "spark.shuffle.manager")]
        self._instructions = Instructions(self.pool, self.master, self.outputs, shuffle_manager, kill_timeout)
        self._messages = ExecutorMessages(self.dag, self.pool, self._instructions, self.master, self.outputs)
        self._heartbeats = Heartbeats()
        self._messages.register(
            {c.GetMapOutputs: self._map_outputs.serve, c.ExecutorHeartbeat: self._heartbeats.receive}
        )
        self._import_path = SharedImportPath()
        self._broadcast_ids = count()
        view = progress_view() if settings.value(conf, "spark.ui.showConsoleProgress") else None
        self.status = Status(self.lock, self.dag, endpoint, self.pool, self._heartbeats, layout)
        self.progress = Progress(view, self.status.running_stages)
        self._callbacks: list[Callable[[], None]] = []
        self._loop.add(self._launcher.endpoint, self.pool.launcher_told, self._launcher_gone)
        disown_in_forks(self)

    def start(self, executors: int) -> None:
        """Raises ClusterError, or what is wrong with the local directories."""
        with deferred():
            self._side.start()
            self._loop.start()
        self.scratch = self._start_cluster()
        with deferred(), self.lock:  # held until the driver is ready for what executors say
            self._stacks = OwnStacks(self.scratch.primary, "driver")
            self.pool.set_target(executors)
            self._env = self._make_env()

    def _start_cluster(self) -> Scratch:
        local_dirs = tuple(configured_local_dirs(settings.value(self.conf, "spark.local.dir") or ()))
        order = c.StartCluster(local_dirs, self.conf)
        with self.lock:
            answer = self._launcher.ask(order, START_DEADLINE)
        try:
            return Scratch.attach(answer.result(START_DEADLINE))
        except RemoteAskError as error:
            load_cause(error)
            raise (error.__cause__ or error) from None  # a local directory that cannot be written, say
        except FutureTimeoutError:
            raise ClusterError(f"the launcher made no scratch space within {START_DEADLINE} s") from None

    def _make_env(self) -> Env:
        driver_conf = {**self.conf, "spark.executor.memory": f"{settings.value(self.conf, 'spark.driver.memory')}b"}
        env = make_env(DRIVER, driver_conf, self.master, self.scratch, self._no_tasks_here)
        self.master.slave = BlockManagerSlaveEndpoint(env.block_manager)
        env.block_manager.register()
        self._env_before = set_env(env)
        return env

    @property
    def env(self) -> Env:
        assert self._env is not None
        return self._env

    # --- executors ---

    @property
    def slots(self) -> int:
        """Tasks that run at once, when all executors are ready that there should be."""
        return self.pool.slots

    def set_executors(self, number: int) -> None:
        """Have so many from now on. Those that are too many finish their tasks; what they stored off the heap stays."""
        self.check_usable()
        with self.lock:
            self.pool.set_target(number)
        self.wake()

    # --- jobs ---

    def submit(self, job: Job) -> None:
        self.check_usable()
        with self.lock:
            self._instructions.import_paths = self._import_path.now()
            self.dag.submit(job, time.monotonic())
            self._perform()

    def cancel(self, job_id: int, reason: str) -> None:
        with self.lock:
            self.dag.cancel(job_id, reason)
            self._perform()

    def cancel_where(self, wanted: Callable[[Job], bool], reason: str) -> None:
        with self.lock:
            for job in list(self.dag.jobs.values()):
                if wanted(job):
                    self.dag.cancel(job.id, reason)
            self._perform()

    def each_round(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` under the lock in every round of the event loop."""
        self._callbacks.append(callback)

    def check_usable(self) -> None:
        """Raises ContextError when stopped, or in the event loop's own thread; ClusterError when broken."""
        if isinstance(self.lock, ForkedLock):
            raise ContextError(FORKED)
        if self.error is not None:
            raise ClusterError(str(self.error)) from self.error
        if self.closed:
            raise ContextError("Cannot call methods on a stopped SparkContext.")
        if self._loop.is_this_thread:
            raise ContextError("a finalizer that the driver's own thread happens to run cannot start jobs")
        if not self._loop.is_alive:
            raise ClusterError("the driver's event loop is not running")

    def disown(self) -> None:
        """In a fork of the driver."""
        self.lock = self.master.lock = ForkedLock()

    def add_import_path(self, path: str) -> None:
        """A file was added that can be imported from ``path``: for the tasks of stages that start from now on."""
        with self.lock:
            self._import_path.add_file(path)
            self._instructions.import_paths = self._import_path.now()

    # --- blocks of the driver's own ---

    def next_broadcast_id(self) -> int:
        return next(self._broadcast_ids)

    def put_broadcast(self, what: str, *chunks: BytesLike) -> BroadcastBlockId:
        """Store bytes that executors will read by block id, ``broadcast_N_what``. They stay until `remove_broadcast`.
        Without the lock: it may wait for room.
        """
        block_id = BroadcastBlockId(self.next_broadcast_id(), what)
        self.env.block_manager.put_shared(block_id, chunks)
        return block_id

    def remove_broadcast(self, broadcast_id: int, remove_from_driver: bool = True, blocking: bool = False) -> None:
        message = RemoveBroadcast(broadcast_id, remove_from_driver)
        self._remove(message, blocking)

    def remove_shuffle(self, shuffle_id: int, blocking: bool = False) -> None:
        with self.lock:
            self._map_outputs.forget(shuffle_id)
            self.outputs.unregister_shuffle(shuffle_id)
        self._remove(RemoveShuffle(shuffle_id), blocking)

    def drop_unused_blocks(self, unused_for: float, spared_rdds: frozenset[int]) -> None:
        """Drop what no process has used for so many seconds."""
        self.master.tell(DropUnusedBlocks(unused_for, spared_rdds))

    def remove_rdd(self, rdd_id: int, blocking: bool = False) -> None:
        self._remove(RemoveRdd(rdd_id), blocking)

    def _remove(self, message: Report, blocking: bool) -> None:
        if self.closed:  # there is nothing any more
            return
        if blocking and not self._loop.is_this_thread:  # a finalizer of the user's may run there, and must not wait
            self.master.ask(message)
        else:
            self.master.tell(message)

    def wake(self) -> None:
        self._loop.wake()

    def later(self, work: Callable[[], None]) -> None:
        """Run ``work``, which may wait, in the side thread. Takes no lock, so that finalizers may call it."""
        self._side.submit(work)

    def _perform(self) -> None:
        while unsendable := self._instructions.carry_out(self.dag.take(time.monotonic())):
            for executor_id, failure in unsendable:
                self.dag.task_failed(executor_id, failure, time.monotonic())

    # --- the event loop's rounds ---

    def _round(self, now: float) -> float:
        self.pool.expire(now)
        self._launcher.endpoint.expire(now)
        silent = self.master.endpoint.silent_executors(now, self._network_timeout)
        for executor_id in [*silent, *self.pool.unregistered(now - self._network_timeout)]:
            self.pool.judge_silent(executor_id, now)
        self._instructions.expire_kills(now)
        for executor_id in self.dag.drained_executors():
            self.pool.drained(executor_id)
        for callback in self._callbacks:
            callback()
        self._side.submit(self._flush_leases)
        if not self.dag.jobs:
            return IDLE_ROUND
        self.dag.recall(now, RECALL_PATIENCE)
        self.dag.expire_barriers(now)
        self._perform()
        return BUSY_ROUND

    def _flush_leases(self) -> None:
        """The driver has no reports on which its releases could ride along."""
        if self._env is not None and not self.closed:
            self._env.block_manager.flush_lease_releases()

    # --- launcher ---

    def _launcher_gone(self, end: ChannelError) -> None:
        self._break(ClusterError(f"the launcher is gone ({end}); no job can run in this context any more"))

    # --- executors ---

    def _executor_message(self, executor_id: str, incoming: Incoming) -> None:
        if self._messages.receive(executor_id, incoming):
            self._perform()

    def _executor_lost(self, executor_id: str, reason: str) -> None:
        now = time.monotonic()
        self._instructions.executor_lost(executor_id)
        self._heartbeats.forget(executor_id)
        self.dag.executor_lost(executor_id, reason, now)
        self.master.receive(DRIVER, RemoveExecutor(executor_id))
        self._perform()

    def _executor_draining(self, executor_id: str) -> None:
        self.dag.drain_executor(executor_id)
        self._perform()

    def _hopeless(self, reason: str) -> None:
        self._break(ClusterError(reason))

    def _no_tasks_here(self, message: Message) -> Any:
        raise ContextError("shuffles are read by tasks, not by the driver")

    # --- the end ---

    def _crashed(self, error: BaseException) -> None:
        self._break(ClusterError(f"the driver's event loop failed: {error!r}"))

    def _break(self, error: ClusterError) -> None:
        if self.error is None and not self.closed:
            self.error = error
            self.dag.fail_all(error)
            self._launcher.endpoint.fail_pending(BrokenChannelError(str(error)))

    def stop(self) -> None:
        """End executors and remove what they left. Idempotent; waits at most STOP_DEADLINE and some seconds."""
        is_first = False
        try:
            with self.lock:
                is_first, self.closed = not self.closed, True
            if is_first:
                self._end_executors()
        finally:  # also when a Ctrl-C ends the wait
            if is_first:
                self._end_parts()

    def _end_executors(self) -> None:
        with self.lock:
            answer = self._begin_stop()
        try:
            if answer is not None:
                answer.result(STOP_DEADLINE)
        except (ChannelError, FutureTimeoutError) as error:
            log.warning("the launcher did not confirm the end of the cluster: %r", error)

    def _end_parts(self) -> None:
        self.progress.close()
        self._side.stop(SIDE_DEADLINE)
        if self._env is not None:
            # Removes what it made meanwhile, which the launcher's cleaning may have missed. Without the lock: its
            # threads may be waiting for it.
            self._env.block_manager.stop()
            set_env(self._env_before)  # an executor's own, when a task made the context
        self._loop.stop(SIDE_DEADLINE)
        with self.lock:
            self.pool.close()
            self._launcher.close()
            if self._stacks is not None:
                self._stacks.close()
            self.master.receive(DRIVER, StopBlockManagerMaster())  # nobody is left who would ask it

    def _end_jobs(self) -> None:
        if self.error is not None:
            self.dag.fail_all(self.error)
        for job_id in list(self.dag.jobs):
            self.dag.cancel(job_id, "because SparkContext was shut down")

    def _begin_stop(self) -> Future[Any] | None:
        if self._env is not None:
            self._end_jobs()
            self._perform()
        self.pool.stop()
        if not self._loop.is_alive:
            return None  # nobody would read the answer; a launcher whose pipe is closed cleans up by itself
        try:
            return self._launcher.ask(c.StopCluster(), STOP_DEADLINE)
        except ChannelError as error:
            log.debug("the launcher was gone: %s", error)
            return None


def _scheduling_order(conf: Mapping[str, str]) -> SchedulingOrder:
    """Raises ConfigurationError when the pools cannot be read."""
    if settings.value(conf, "spark.scheduler.mode") == "FIFO":
        return fifo
    from localcluster.scheduler.allocation_file import read_pools  # few programs need it, and XML takes its time

    return FairOrder(read_pools(settings.value(conf, "spark.scheduler.allocation.file")))


def _limits(conf: Mapping[str, str], layout: Layout) -> Limits:
    return Limits(
        task_failures=layout.max_failures,
        # Also where the master allows one attempt, as local[N] does: Spark's local executors cannot die, ours can.
        task_losses=settings.value(conf, "spark.task.maxFailures"),
        stage_attempts=settings.value(conf, "spark.stage.maxConsecutiveAttempts"),
        barrier_timeout=settings.value(conf, "spark.barrier.sync.timeout"),
        result_size=settings.value(conf, "spark.driver.maxResultSize"),
    )
