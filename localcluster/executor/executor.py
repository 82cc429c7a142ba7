"""The executor process: takes orders, runs tasks, reports.

Threads: the main thread and one more per further core run tasks; one thread takes orders and never waits, others carry
out those about blocks; one flushes reports and sends the heartbeat; one tells stacks to `localcluster dump`. A task
that asks the master sends and receives on the report pipe itself. Follows Spark's ``CoarseGrainedExecutorBackend`` and
``Executor``. Does not know how a task computes (``task_runner``).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from multiprocess.connection import Connection

from localcluster.base.py_files import follow_import_path
from localcluster.base.shortage import shortage
from localcluster.base.standard_streams import flush_standard_streams
from localcluster.conf.logs import FollowedLevels, set_up_logging
from localcluster.conf.settings import EXECUTOR_ENVIRONMENT, Settings
from localcluster.executor import imports_ahead
from localcluster.executor.barrier_calls import BarrierCalls
from localcluster.executor.block_orders import BlockOrders, OrderHandler
from localcluster.executor.breakpoints import refuse_breakpoints
from localcluster.executor.child_pickles import pickle_for_children
from localcluster.executor.crash_report import report_crashes, report_error
from localcluster.executor.exit_handlers import run_exit_handlers
from localcluster.executor.kills import Kills
from localcluster.executor.library_threads import limit_library_threads
from localcluster.executor.reporter import DRIVER_GONE, Reporter, end_without_driver
from localcluster.executor.stage_code import StageCode
from localcluster.executor.task_queue import TaskQueue
from localcluster.executor.task_runner import at_task, describe, run_task
from localcluster.faults.process_faults import ProcessFaults
from localcluster.task.env import Env, set_env
from localcluster.task.make_env import make_env
from localcluster.task.task_forks import expect_forks
from protocol import sites
from protocol.block_messages import StopBlockManager
from protocol.channel import Channel
from protocol.cluster_messages import (
    ArmFaults,
    BarrierRelease,
    DisarmFaults,
    DropStage,
    ImportLibrary,
    KillTask,
    LaunchExecutor,
    LaunchFailed,
    LaunchTasks,
    RegisterExecutor,
    ReturnTasks,
    StopExecutor,
    TaskDescription,
    TaskKilled,
    TasksReturned,
)
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import BlockMasterStoppedError, ChannelError, ClosedChannelError, RemoteAskError, TaskKilledError
from protocol.message import Report
from protocol.message_table import MessageTable
from storage.block_manager_master import ASK_TIMEOUT
from storage.scratch import Scratch

log = logging.getLogger(__name__)


def executor_main(
    order: LaunchExecutor,
    orders: Connection,
    reports: Connection,
    scratch: Scratch,
    plans: Sequence[ArmFaults] = (),
) -> int:
    """The whole life of an executor process; its exit code. 1: it could not start, or the driver disappeared. It has
    these plans of faults from the beginning.
    """
    sys.path[:] = order.sys_path
    prefix = EXECUTOR_ENVIRONMENT
    os.environ.update({key.removeprefix(prefix): text for key, text in order.conf.items() if key.startswith(prefix)})
    limit_library_threads(Settings(order.conf).task_cpus)
    set_up_logging(order.conf, f"executor {order.executor_id}")
    refuse_breakpoints()
    report_crashes(scratch, order.executor_id)
    expect_forks()
    pickle_for_children()
    faults = ProcessFaults("executor", order.executor_id, scratch.primary)
    for plan in plans:
        faults.follow(plan)
    reporting = Endpoint(Channel(reports, name="reports"))
    try:
        executor = Executor(order, Endpoint(Channel(orders, name="orders")), reporting, scratch, faults)
        executor.start()
    except DRIVER_GONE as error:
        end_without_driver(error)
    except Exception as error:
        refused = shortage(error) or (str(error) if isinstance(error, OSError) else None)
        if refused is None:
            report_error(error)
            raise
        reporting.tell(LaunchFailed(order.executor_id, refused))
        return 1
    return executor.run()


class Executor:
    """The executor's process. What the driver knows of it is `localcluster.driver.known_executor.Executor`."""

    def __init__(
        self, order: LaunchExecutor, orders: Endpoint, reports: Endpoint, scratch: Scratch, faults: ProcessFaults
    ) -> None:
        self._id = order.executor_id
        self._cores = order.cores
        self._orders = orders
        self._reports = reports
        self._tasks: TaskQueue[StageCode] = TaskQueue()
        self._queue: SimpleQueue[int | None] = SimpleQueue()  # task ids, some of them recalled meanwhile; None: stop
        self._keeps_blocks = True
        self._kills = Kills()
        self._log_levels = FollowedLevels()
        self._import_paths: tuple[str, ...] = ()
        memory = Settings(order.conf).executor_memory
        self._env: Env = make_env(self._id, order.conf, memory, _ReportTransport(reports), scratch, self._ask)
        self._block_orders = BlockOrders(self._env)
        self._handlers: MessageTable[OrderHandler] = MessageTable(f"executor {self._id}")
        self._handlers.register(
            {
                LaunchTasks: lambda incoming: self._launch(incoming.message),
                KillTask: lambda incoming: self._kill(incoming.message),
                ReturnTasks: lambda incoming: self._return(incoming.message.task_ids),
                ImportLibrary: lambda incoming: self._import_ahead(incoming.message),
                DropStage: lambda incoming: self._tasks.drop_stage(incoming.message.stage_key),
                BarrierRelease: lambda incoming: self._barriers.answered(incoming.message),
                StopBlockManager: lambda incoming: self._stop_block_manager(),
                StopExecutor: lambda incoming: self._stop(),
                ArmFaults: lambda incoming: faults.follow(incoming.message),
                DisarmFaults: lambda incoming: faults.disarm(incoming.message.number),
            }
        )
        self._handlers.register(self._block_orders.handlers)
        interval = self._env.settings.executor_heartbeat_interval
        self._reporter = Reporter(reports, orders, self._env.block_manager, self._kills, interval)
        self._barriers = BarrierCalls(self._reporter.tell, self._kills)
        self._threads = [
            threading.Thread(target=self._run_tasks, name=f"task-{n}", daemon=True) for n in range(1, self._cores)
        ]

    def start(self) -> None:
        """Get ready for tasks and say so, last of all: who registers is expected to work."""
        if sites.armed is not None:
            sites.armed("executor.start")
        set_env(self._env)
        self._env.block_manager.register()
        self._kills.install()
        self._reporter.start()
        threading.Thread(target=self._take_orders, name="orders", daemon=True).start()
        for thread in self._threads:
            thread.start()
        self._reports.tell(RegisterExecutor(self._id, os.getpid(), self._cores))
        if sites.armed is not None:
            sites.armed("executor.registered")

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        self._run_tasks()
        for thread in self._threads:
            thread.join(1.0)  # the launcher ends us by force if a task does not return
        self._reporter.stop()
        self._block_orders.stop()
        if self._keeps_blocks:
            self._env.block_manager.abandon()
        else:
            self._env.block_manager.stop()
        self._reports.close()
        run_exit_handlers()
        return 0

    # --- orders ---

    def _take_orders(self) -> None:
        try:
            while True:
                self._obey(self._orders.receive())
        except ChannelError as error:
            end_without_driver(error)
        except BaseException as error:
            log.exception("executor %s cannot take orders any more", self._id)
            report_error(error)
        os._exit(1)

    def _obey(self, incoming: Incoming) -> None:
        handler = self._handlers.get(type(incoming.message))
        if handler is not None:
            handler(incoming)
        else:
            self._handlers.refuse(incoming)

    def _launch(self, order: LaunchTasks) -> None:
        if order.stage is not None:
            self._env.shuffle_manager.outputs.advance(order.stage.epoch)
            self._log_levels.follow(order.stage.log_levels)
            self._follow_import_path(order.stage.import_paths)
            self._tasks.add_stage(order.stage_key, StageCode(order.stage, self._env.block_manager))
        self._tasks.add(order.stage_key, order.tasks)
        for task in order.tasks:
            self._queue.put(task.task_id)

    def _follow_import_path(self, paths: tuple[str, ...]) -> None:
        if paths != self._import_paths:
            follow_import_path(paths)
            self._import_paths = paths

    def _return(self, task_ids: tuple[int, ...]) -> None:
        returned = self._tasks.give_back(task_ids)
        if returned:
            self._reporter.tell(TasksReturned(returned))

    def _stop_block_manager(self) -> None:
        """When no task needs it any more."""
        self._keeps_blocks = False

    def _stop(self) -> None:
        for _ in range(self._cores):
            self._queue.put(None)

    # --- tasks ---

    def _run_tasks(self) -> None:
        while (task_id := self._queue.get()) is not None:
            self._kills.begin(task_id)  # before it leaves the queue, so that a kill finds it there or here
            task = self._tasks.start(task_id)
            if task is None:
                self._kills.end(task_id)
                continue  # it was recalled or killed
            try:
                self._run_task(*task)
            except DRIVER_GONE as error:
                end_without_driver(error)
            except BaseException as error:  # else the driver would wait for the task, and for this thread
                log.exception("executor %s cannot report a task", self._id)
                report_error(error)
                os._exit(1)

    def _import_ahead(self, order: ImportLibrary) -> None:
        """Only while nothing runs here: two threads that import one library may get the half of it."""
        if not self._tasks.has_tasks and not self._kills.running:
            imports_ahead.begin(order)

    def _run_task(self, code: StageCode, task: TaskDescription) -> None:
        try:
            imports_ahead.finish()
            result = run_task(self._env, code, task, self._kills, self._barriers)
        except BaseException as error:
            reason = self._kills.end(task.task_id)
            flush_standard_streams()
            if isinstance(error, DRIVER_GONE):
                raise
            killed = reason is not None and isinstance(error, TaskKilledError)
            if sites.armed is not None:
                at_task("task.report", code.description, task)
            self._reporter.tell(TaskKilled(task.task_id, str(error)) if killed else describe(task, error))
        else:
            self._kills.end(task.task_id)
            flush_standard_streams()
            if sites.armed is not None:
                at_task("task.report", code.description, task)
            # With faults one by one: then there is a moment after each report, and its messages are counted alike.
            self._reporter.finished(result, more_queued=self._tasks.has_tasks and sites.armed is None)
        if sites.armed is not None:
            at_task("task.reported", code.description, task)

    def _ask(self, message: object) -> object:
        return self._reports.ask(message, ASK_TIMEOUT)

    def _kill(self, order: KillTask) -> None:
        """A task that did not start is given up; one that runs gets an exception as soon as its user's code runs."""
        if self._tasks.give_up(order.task_id):
            self._reporter.tell(TaskKilled(order.task_id, order.reason))
        else:
            self._kills.kill(order.task_id, order.reason)
            self._reporter.wake()


class _ReportTransport:
    """The block master as an executor reaches it."""

    def __init__(self, reports: Endpoint) -> None:
        self._reports = reports

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT) -> Any:
        """Raises ClosedChannelError when the master has stopped: to an executor that is as good as a driver's end."""
        try:
            return self._reports.ask(message, timeout)
        except RemoteAskError as error:
            if isinstance(error.__cause__, BlockMasterStoppedError):
                raise ClosedChannelError(str(error.__cause__)) from None
            raise

    def tell(self, *messages: Report) -> None:
        self._reports.tell(*messages)
