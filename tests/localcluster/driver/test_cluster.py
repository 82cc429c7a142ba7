"""`Cluster` with a launcher and executors that are pipes in this process: the test says what they report."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.conf.master_url import Layout
from localcluster.driver import cluster as cluster_module
from localcluster.driver.cluster import Cluster
from localcluster.launcher.client import Ends, LauncherClient
from localcluster.scheduler.stage import Job, JobEnd
from protocol import cache_messages
from protocol import cluster_messages as c
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.errors import ChannelError, ClusterError, ConfigurationError, ContextError, JobCancelledError
from protocol.message import Report
from protocol.task_output import Inline
from storage.scratch import SHARED_MEMORY, Scratch
from tests.localcluster.scheduler.lineage import Lineage
from tests.protocol.test_messages import MESSAGES
from tests.support import DEADLINE, InThread, wait_until


class Executor:
    """The far ends of one executor's pipes."""

    def __init__(self, executor_id: str, orders: Endpoint, reports: Endpoint) -> None:
        self.id = executor_id
        self.orders = orders
        self.reports = reports

    def register(self) -> None:
        self.reports.tell(c.RegisterExecutor(self.id, os.getpid(), 1))

    def order(self) -> Any:
        return self.orders.receive(DEADLINE).message

    def task(self) -> c.TaskDescription:
        order = self.order()
        assert isinstance(order, c.LaunchTasks)
        (task,) = order.tasks
        return task

    def finish(self, task: c.TaskDescription) -> None:
        result = c.TaskResult(task.task_id, Inline(b"%d" % task.partition_index), None, 1.0)
        self.reports.tell(c.TasksFinished((result,)))


class Launcher:
    """The far end of the launcher's pipes, served by a thread; ``told`` is all that it was told and asked."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.start_error: Exception | None = None
        self.told: list[Any] = []
        self.launched: SimpleQueue[Executor] = SimpleQueue()
        self._executors: list[Executor] = []
        control, far_control = Pipe()
        self._fd_sockets = socket.socketpair(type=socket.SOCK_DGRAM)
        self.client = LauncherClient(Ends(control, self._fd_sockets[0]), None)
        self.control = Endpoint(Channel(far_control))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while True:
                order, reply = self.control.receive()
                self.told.append(order)
                if isinstance(order, c.LaunchExecutor):
                    self._launch(order.executor_id)
                elif reply is not None and isinstance(order, c.StartCluster) and self.start_error is not None:
                    reply.error(self.start_error)
                elif reply is not None:
                    reply(self.scratch.primary)
        except ChannelError:
            return

    def _launch(self, executor_id: str) -> None:
        (orders, far_orders), (reports, far_reports) = Pipe(), Pipe()
        socket.send_fds(self._fd_sockets[1], [executor_id.encode()], [orders.fileno(), reports.fileno()])
        orders.close()
        reports.close()
        executor = Executor(executor_id, Endpoint(Channel(far_orders)), Endpoint(Channel(far_reports)))
        self._executors.append(executor)
        self.launched.put(executor)
        self.control.tell(c.ExecutorLaunched(executor_id, os.getpid()))

    def executor(self) -> Executor:
        """The next one that was ordered; it registers."""
        executor = self.launched.get(timeout=DEADLINE)
        executor.register()
        return executor

    def close(self) -> None:
        self.control.abort()
        self._thread.join(DEADLINE)
        self.client.endpoint.abort()
        for executor in self._executors:
            executor.orders.abort()
            executor.reports.abort()
        for end in self._fd_sockets:
            end.close()


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    scratch = Scratch.create((str(tmp_path),))
    launcher = Launcher(scratch)
    yield launcher
    launcher.close()
    scratch.remove()


@pytest.fixture
def cluster(launcher: Launcher) -> Iterator[Cluster]:
    cluster = Cluster(launcher.client, {}, Layout(executors=1, cores=1, max_failures=2))
    yield cluster
    cluster.stop()


@pytest.fixture
def deliveries() -> SimpleQueue[Any]:
    return SimpleQueue()


def job_of(partitions: int, deliveries: SimpleQueue[Any]) -> Job:
    lineage = Lineage()
    return lineage.job(lineage.source(partitions), deliver=deliveries.put)


def next_end(deliveries: SimpleQueue[Any]) -> JobEnd:
    while not isinstance(event := deliveries.get(timeout=DEADLINE), JobEnd):
        pass
    return event


def test_each_report_has_a_handler(cluster: Cluster) -> None:
    handled = {*cluster._backend.messages._handlers, *cluster.pool._handlers}
    of_drivers = (message for message in MESSAGES if message.__module__ != cache_messages.__name__)
    assert handled == {message for message in of_drivers if issubclass(message, Report)}


def test_the_start_orders_executors_and_registers_the_drivers_own_block_manager(
    launcher: Launcher, cluster: Cluster
) -> None:
    cluster.start(2)
    assert {launcher.executor().id, launcher.executor().id} == {"0", "1"}
    assert [type(order) for order in launcher.told] == [c.StartCluster, c.LaunchExecutor, c.LaunchExecutor]
    assert cluster.scratch.primary == launcher.scratch.primary
    assert cluster.slots == 2
    assert cluster.master.endpoint.statistics().managers == 1


def test_what_is_wrong_with_the_start_is_raised_as_it_was_at_the_launcher(launcher: Launcher, cluster: Cluster) -> None:
    launcher.start_error = ConfigurationError("no directory can be written")
    with pytest.raises(ConfigurationError, match="no directory can be written"):
        cluster.start(1)
    cluster.stop()
    assert isinstance(launcher.told[-1], c.StopCluster)


def test_a_job_goes_to_the_executor_and_its_results_to_who_waits(
    launcher: Launcher, cluster: Cluster, deliveries: SimpleQueue[Any]
) -> None:
    cluster.start(1)
    cluster.submit(job_of(2, deliveries))
    executor = launcher.executor()
    for _ in range(2):
        executor.finish(executor.task())
    outcomes = [outcome for _ in range(2) for outcome in deliveries.get(timeout=DEADLINE)]
    assert [outcome.result for outcome in outcomes] == [Inline(b"0"), Inline(b"1")]
    assert next_end(deliveries) == JobEnd(None, None)


def test_the_task_of_an_executor_that_died_goes_to_the_next_one(
    launcher: Launcher, cluster: Cluster, deliveries: SimpleQueue[Any]
) -> None:
    cluster.start(1)
    cluster.submit(job_of(1, deliveries))
    first = launcher.executor()
    lost = first.task()
    launcher.control.tell(c.ExecutorExited(first.id, None, 9))
    second = launcher.executor()
    again = second.task()
    assert (again.partition_index, again.attempt) == (lost.partition_index, lost.attempt + 1)
    second.finish(again)
    assert next_end(deliveries).error is None


def test_a_cancelled_job_has_its_task_killed(
    launcher: Launcher, cluster: Cluster, deliveries: SimpleQueue[Any]
) -> None:
    cluster.start(1)
    job, other = job_of(1, deliveries), job_of(1, SimpleQueue())
    cluster.submit(job)
    executor = launcher.executor()
    task = executor.task()
    cluster.cancel_where(lambda running: running is other, "not this one")
    cluster.cancel_where(lambda running: running is job, "it is enough")
    kill = executor.order()
    assert (kill.task_id, type(kill)) == (task.task_id, c.KillTask)
    assert isinstance(next_end(deliveries).error, JobCancelledError)


def test_an_executor_that_is_not_wanted_any_more_leaves_with_its_blocks_kept(
    launcher: Launcher, cluster: Cluster
) -> None:
    cluster.start(2)
    executors = [launcher.executor(), launcher.executor()]
    wait_until(lambda: all(executor.was_ready for executor in cluster.pool))
    cluster.set_executors(1)
    assert executors[1].order() == c.StopExecutor()
    launcher.control.tell(c.ExecutorExited("1", 0, None))
    wait_until(lambda: list(cluster.pool.executors) == ["0"])
    assert cluster.slots == 1


def test_what_the_driver_made_while_the_directory_was_removed_goes_with_it(
    launcher: Launcher, cluster: Cluster
) -> None:
    launcher.client._process = subprocess.Popen([sys.executable, "-c", ""])  # one that this process started
    cluster.start(1)
    launcher.control.close()
    launcher.scratch.remove()
    late = Path(launcher.scratch.primary, "userFiles")
    late.mkdir(parents=True)
    cluster.stop()
    assert not late.parent.exists()


def test_without_a_launcher_jobs_fail_and_none_can_begin(
    launcher: Launcher, cluster: Cluster, deliveries: SimpleQueue[Any]
) -> None:
    cluster.start(1)
    cluster.submit(job_of(1, deliveries))
    launcher.control.close()
    error = next_end(deliveries).error
    assert isinstance(error, ClusterError)
    assert "the launcher is gone" in str(error)
    with pytest.raises(ClusterError, match="the launcher is gone"):
        cluster.submit(job_of(1, deliveries))


def test_an_event_loop_that_crashes_breaks_the_cluster(
    launcher: Launcher, cluster: Cluster, deliveries: SimpleQueue[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start(1)
    cluster.submit(job_of(1, deliveries))
    executor = launcher.executor()
    task = executor.task()
    monkeypatch.setattr(cluster.dag, "tasks_finished", lambda *arguments: 1 // 0)
    executor.finish(task)
    assert "the driver's event loop failed: ZeroDivisionError" in str(next_end(deliveries).error)
    with pytest.raises(ClusterError, match="ZeroDivisionError"):
        cluster.check_usable()


def test_the_stop_ends_jobs_and_executors_and_removes_nothing_any_more(
    launcher: Launcher, cluster: Cluster, deliveries: SimpleQueue[Any]
) -> None:
    cluster.start(1)
    cluster.submit(job_of(1, deliveries))
    executor = launcher.executor()
    executor.task()
    cluster.stop()
    assert isinstance(next_end(deliveries).error, JobCancelledError)
    assert [type(executor.order()) for _ in range(3)] == [c.KillTask, c.DropStage, c.StopExecutor]
    assert [type(order) for order in launcher.told].count(c.StopCluster) == 1
    cluster.stop()
    cluster.blocks.remove_rdd(1, blocking=True)
    cluster.remove_shuffle(1, blocking=True)
    with pytest.raises(ContextError, match="stopped SparkContext"):
        cluster.submit(job_of(1, deliveries))


def test_one_that_was_never_started_can_be_stopped(launcher: Launcher, cluster: Cluster) -> None:
    cluster.stop()
    with pytest.raises(ContextError):
        cluster.check_usable()


def test_rounds_call_back_under_the_lock(cluster: Cluster) -> None:
    calls: SimpleQueue[bool] = SimpleQueue()

    def others_have_it() -> bool:
        taken = threading.Event()

        def take() -> None:
            if cluster.lock._lock.acquire(blocking=False):  # type: ignore[attr-defined]
                cluster.lock._lock.release()  # type: ignore[attr-defined]
                taken.set()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join(DEADLINE)
        return not taken.is_set()

    cluster.each_round(lambda: calls.put(others_have_it()))
    cluster.start(0)
    cluster.wake()
    assert calls.get(timeout=DEADLINE)


def test_a_killed_launchers_directory_goes_when_nobody_owns_it_and_with_what_is_in_shared_memory(
    cluster: Cluster, launcher: Launcher
) -> None:
    """By the directory the janitor finds that: without it, it would stay."""
    cluster.start(0)
    segment = Path(SHARED_MEMORY, f"{launcher.scratch.name}-0-0")
    segment.touch()
    looked = SimpleQueue[None]()
    real = cluster_module.remove_unowned

    def remove_unowned(primary: str) -> list[str]:
        removed = real(primary)
        looked.put(None)
        return removed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_module, "remove_unowned", remove_unowned)
        removing = InThread(cluster._remove_scratch)
        looked.get(timeout=DEADLINE)
        assert segment.exists(), "an executor may still make more"
        assert Path(launcher.scratch.primary).exists()
        launcher.scratch.disown()
        removing.outcome()
    assert not segment.exists()
    assert not Path(launcher.scratch.primary).exists()


def test_one_that_somebody_owns_for_ever_is_left_to_the_janitor(
    cluster: Cluster, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "UNOWNED_WAIT", 0.0)
    cluster.start(0)
    cluster._remove_scratch()
    assert Path(launcher.scratch.primary).exists()
