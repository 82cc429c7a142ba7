"""The driver's runtime: threads, pipes and a lock around its state machines (``scheduler_backend``).

One lock guards the scheduler, the block master and the executor pool. Pipes are non-blocking with a backlog, so
whoever holds the lock may send; nobody waits for an answer while holding it. Threads: the event loop, the side thread
(work that may wait), one that tells stacks, and the user's, which submit jobs and wait for results without the lock.
Does not plan or collect jobs (``job_runner``), does not know what follows from what executors say
(``scheduler_backend``).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin only from Python 3.11 on
from contextlib import AbstractContextManager, suppress
from typing import Any

from localcluster.base.event_loop import EventLoop
from localcluster.base.own_stacks import OwnStacks
from localcluster.base.py_files import SharedImportPath
from localcluster.base.side_thread import SideThread
from localcluster.conf.master_url import Layout
from localcluster.conf.settings import Settings
from localcluster.driver.armed_plans import ArmedPlans, report_never_fired
from localcluster.driver.event_history import EventHistory
from localcluster.driver.forked_lock import FORKED, ForkedLock
from localcluster.driver.imports_ahead import ImportsAhead
from localcluster.driver.make_scheduler import make_scheduler
from localcluster.driver.own_blocks import OwnBlocks
from localcluster.driver.progress import Progress
from localcluster.driver.progress_views import progress_view
from localcluster.driver.scheduler_backend import SchedulerBackend
from localcluster.driver.status import Status
from localcluster.driver.uninterrupted_lock import UninterruptedLock
from localcluster.launcher.client import LauncherClient
from localcluster.launcher.interrupts import deferred
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.stage import Job
from localcluster.task.env import Env
from localcluster.task.make_env import SHUFFLE_MANAGERS
from protocol import cluster_messages as c
from protocol import sites
from protocol.block_messages import RemoveShuffle, StopBlockManagerMaster
from protocol.error_frames import load_cause
from protocol.errors import BrokenChannelError, ChannelError, ClusterError, ContextError, RemoteAskError
from protocol.forks import disown_in_forks
from protocol.locations import DRIVER
from protocol.message import Order
from storage import os_layer
from storage.disk_block_manager import configured_local_dirs
from storage.scratch import LOCK, Scratch, remove_unowned
from storage.serializer import wrap

log = logging.getLogger(__name__)

UNOWNED_WAIT = 5.0  # seconds that the end of a killed launcher's executors may take
START_DEADLINE = 60.0  # seconds for the launcher to make the scratch space
STOP_DEADLINE = 20.0  # seconds for the launcher to end executors and remove everything
SIDE_DEADLINE = 5.0  # seconds for each of the driver's threads to end


class Cluster:
    """The driver of one context: all its parts, put together. `stop` ends it, however far `start` has come."""

    def __init__(self, launcher: LauncherClient, conf: Mapping[str, str], layout: Layout) -> None:
        settings = Settings(conf)
        self.events = EventHistory()
        self.outputs = MapOutputTracker(self.events.record, SHUFFLE_MANAGERS[settings.shuffle_manager].block_ids)
        self.dag = make_scheduler(conf, layout, self.outputs, self.events.record)  # first, since it may raise
        self.faults = ArmedPlans(conf, self.tell_all, self.events.record)
        self.events.before_reading(self.faults.round)
        self.conf = conf
        self.lock: AbstractContextManager[Any] = UninterruptedLock()
        self.error: ClusterError | None = None
        self.closed = False
        self._stacks: OwnStacks | None = None
        self._side = SideThread()
        self._loop = EventLoop(self.lock, self._round, self._crashed)
        self._launcher = launcher
        self._backend = SchedulerBackend(
            self.dag,
            self.outputs,
            conf,
            layout,
            self._launcher,
            self._loop,
            self._side,
            self.lock,
            put_table=lambda table: self.blocks.put_broadcast("outputs", *wrap(table)),
            on_hopeless=self._hopeless,
            first_orders=lambda: self.faults.orders(),
            record=self.events.record,
            fault_in=self.faults.ended,
        )
        self.pool, self.master = self._backend.pool, self._backend.master
        self.blocks = OwnBlocks(self.master, may_wait=lambda: not self._loop.is_this_thread)
        self._import_path = SharedImportPath()
        self._imports_ahead = ImportsAhead(self._tell_executors)
        view = progress_view() if settings.ui_show_console_progress else None
        observed = self.dag, self.master.endpoint, self.pool, self._backend.heartbeats, self.events
        self.status = Status(self.lock, *observed, layout)
        self.master.endpoint.is_wanted = self.status.kept_rdds.__contains__
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
            self._stacks = OwnStacks(self.scratch.primary, "driver", is_owner=False, serves=True)
            self.faults.start(self.scratch)
            self.pool.set_target(executors)
            self.blocks.start(self.conf, self.scratch)

    def _start_cluster(self) -> Scratch:
        local_dirs = tuple(configured_local_dirs(Settings(self.conf).local_dir or ()))
        order = c.StartCluster(local_dirs, self.conf)
        try:
            with self.lock:
                answer = self._launcher.ask(order, START_DEADLINE)
            scratch = Scratch.attach(answer.result(START_DEADLINE))
            self._launcher.drop_pipes()
        except RemoteAskError as error:
            load_cause(error)
            raise (error.__cause__ or error) from None  # a local directory that cannot be written, say
        except ChannelError as error:
            raise ClusterError(f"cannot start the cluster: the launcher ended at once ({error})") from error
        except FutureTimeoutError:
            raise ClusterError(f"the launcher made no scratch space within {START_DEADLINE} s") from None
        return scratch

    @property
    def env(self) -> Env:
        return self.blocks.env

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
        if sites.armed is not None:
            sites.armed("driver.job")
        with self.lock:
            self._backend.instructions.import_paths = self._import_path.now()
            self._backend.submit(job)

    def cancel(self, job_id: int, reason: str) -> None:
        with self.lock:
            self._backend.cancel(job_id, reason)

    def cancel_where(self, wanted: Callable[[Job], bool], reason: str) -> None:
        with self.lock:
            for job in list(self.dag.jobs.values()):
                if wanted(job):
                    self._backend.cancel(job.id, reason)

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
            self._backend.instructions.import_paths = self._import_path.now()

    def remove_shuffle(self, shuffle_id: int, blocking: bool = False) -> None:
        with self.lock:
            self._backend.forget_shuffle(shuffle_id)
        self.blocks.remove(RemoveShuffle(shuffle_id), blocking)

    def tell_all(self, order: Order) -> None:
        """Tell the launcher and all executors that can be reached. Under the lock."""
        self.pool.tell_launcher(order)
        self._tell_executors(order)

    def _tell_executors(self, order: Order) -> None:
        for executor in self.pool:
            with suppress(ChannelError):
                self.pool.send(executor.executor_id, order)

    def will_need(self, value: object) -> None:
        """Tasks will unpickle this value soon."""
        with self.lock:
            self._imports_ahead.of(value)

    def wake(self) -> None:
        self._loop.wake()

    def later(self, work: Callable[[], None]) -> None:
        """Run ``work``, which may wait, in the side thread. Takes no lock, so that finalizers may call it."""
        self._side.submit(work)

    # --- the event loop's rounds ---

    def _round(self, now: float) -> float:
        self._launcher.endpoint.expire(now)
        self.faults.round()
        for callback in self._callbacks:
            callback()
        self._side.submit(self.blocks.flush_leases)
        return self._backend.round(now)

    # --- launcher ---

    def _remove_scratch(self) -> None:
        """When no process of the run owns it. One that a task left may do so for ever: then it is the janitor's."""
        until = time.monotonic() + UNOWNED_WAIT
        while os_layer.exists(os.path.join(self.scratch.primary, LOCK)) and not remove_unowned(self.scratch.primary):
            if time.monotonic() > until:
                return
            time.sleep(0.01)
        os_layer.remove_what_can_be(self.scratch.primary)

    def _launcher_gone(self, end: ChannelError) -> None:
        self._break(ClusterError(f"the launcher is gone ({end}); no job can run in this context any more"))

    def _hopeless(self, reason: str) -> None:
        self._break(ClusterError(reason))

    # --- the end ---

    def _crashed(self, error: BaseException) -> None:
        self._break(ClusterError(f"the driver's event loop failed: {error!r}"))

    def _break(self, error: ClusterError) -> None:
        if self.error is None and not self.closed:
            self.error = error
            self.dag.fail_all(error)
            self._launcher.endpoint.fail_pending(BrokenChannelError(str(error)))

    def stop(self) -> None:
        """End executors and remove what they left. Idempotent; waits at most STOP_DEADLINE and some seconds.

        Raises FaultNeverFiredError, last of all, when that is what the settings want.
        """
        is_first = False
        if sites.armed is not None and not self.closed:
            sites.armed("driver.stop")
        try:
            with self.lock:
                is_first, self.closed = not self.closed, True
                self.blocks.closed = True
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
        self.blocks.stop()  # removes what it made meanwhile, which the launcher's cleaning may have missed
        self._loop.stop(SIDE_DEADLINE)
        with self.lock:
            self.pool.close()
            self._launcher.close()
            if self._stacks is not None:
                self._stacks.close()
            never_fired = self.faults.stop()
        if self._stacks is not None and not self._launcher.has_forked_us:
            # It has ended. One that was killed left all to the janitor, which does not wait for us, and misses what
            # this process made in the directory while it was being removed. Not before its owners are dead, and with
            # what they had in shared memory: without the directory the janitor would find nothing of that.
            self._remove_scratch()
        if never_fired and not self._launcher.has_forked_us:  # else it tells, at the job's end
            report_never_fired(never_fired, Settings(self.conf).faults_strict)

    def _end_jobs(self) -> None:
        if self.error is not None:
            self.dag.fail_all(self.error)
        for job_id in list(self.dag.jobs):
            self.dag.cancel(job_id, "because SparkContext was shut down")

    def _begin_stop(self) -> Future[Any] | None:
        if self.blocks.started:
            self._end_jobs()
            self._backend.perform()
        self.master.receive(DRIVER, StopBlockManagerMaster())
        self.pool.stop()
        if not self._loop.is_alive:
            return None  # nobody would read the answer; a launcher whose pipe is closed cleans up by itself
        try:
            return self._launcher.ask(c.StopCluster(), STOP_DEADLINE)
        except ChannelError as error:
            log.debug("the launcher was gone: %s", error)
            return None
