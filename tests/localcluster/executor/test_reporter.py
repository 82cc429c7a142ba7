"""What an executor's reports are, in which order and how many in one, over a real Pipe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.executor import report_batch
from localcluster.executor.reporter import Reporter
from protocol.block_messages import ReleaseLeases
from protocol.channel import Channel
from protocol.cluster_messages import ExecutorHeartbeat, TaskKilled, TaskResult, TasksFinished
from protocol.endpoint import Endpoint
from protocol.errors import AskTimeoutError
from protocol.locations import BlockManagerId, ShmLocation
from protocol.task_output import Inline
from tests.support import DEADLINE

BATCH_BYTES = 1000  # less than a pipe takes
NEVER = 1e6  # seconds between heartbeats


class Blocks:
    """What the reporter asks of a block manager."""

    id = BlockManagerId("5", 55)

    def __init__(self) -> None:
        self.releases: tuple[Any, ...] = ()
        self.heartbeat: Callable[[], None] = lambda: None

    def take_lease_releases(self) -> tuple[Any, ...]:
        releases, self.releases = self.releases, ()
        return releases


class Kills:
    """What the reporter asks of the executor's kills: which tasks run, and whether any is to be repeated."""

    running = (1, 2)

    def deliver(self) -> bool:
        return False


class Line:
    """A reporter, and the driver's end of its pipe."""

    def __init__(self) -> None:
        ours, theirs = Pipe()
        self.blocks = Blocks()
        self.sender = Endpoint(Channel(ours, name="executor"))
        our_orders, their_orders = Pipe()
        self.orders, self.driver_orders = Endpoint(Channel(our_orders)), Endpoint(Channel(their_orders))
        self.driver = Endpoint(Channel(theirs, name="driver"))
        self.made: list[Reporter] = []
        self.reporter = self.make(NEVER)

    def make(self, interval: float) -> Reporter:
        self.made.append(Reporter(self.sender, self.orders, self.blocks, Kills(), interval))  # type: ignore[arg-type]
        return self.made[-1]

    def close(self) -> None:
        for reporter in self.made:
            if reporter._thread.is_alive():  # the test failed; without a driver it would end this process
                reporter.stop()
        for endpoint in (self.sender, self.driver, self.orders, self.driver_orders):
            endpoint.abort()

    def next(self) -> Any:
        return self.driver.receive(DEADLINE).message

    @property
    def is_silent(self) -> bool:
        return self.driver.receive_ready() == []


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(report_batch, "BATCH_BYTES", BATCH_BYTES)
    line = Line()
    yield line
    line.close()


def result(task_id: int, size: int = 1) -> TaskResult:
    return TaskResult(task_id, Inline(bytes(size)), None, 0.001)


def test_a_result_is_reported_at_once_when_nothing_else_is_queued(line: Line) -> None:
    line.reporter.finished(result(1), more_queued=False)
    assert line.next() == TasksFinished((result(1),))


def test_results_wait_for_each_other_while_more_is_queued_and_keep_their_order(line: Line) -> None:
    for task_id in range(5):
        line.reporter.finished(result(task_id), more_queued=True)
    assert line.is_silent
    line.reporter.finished(result(5), more_queued=False)
    assert line.next() == TasksFinished(tuple(map(result, range(6))))


def test_results_that_add_up_to_much_do_not_wait(line: Line) -> None:
    half = BATCH_BYTES // 2
    line.reporter.finished(result(0, half), more_queued=True)
    assert line.is_silent
    line.reporter.finished(result(1, half), more_queued=True)
    assert line.next() == TasksFinished((result(0, half), result(1, half)))
    line.reporter.finished(result(2, half), more_queued=True)
    assert line.is_silent, "the count of bytes starts anew"


def test_accumulator_updates_count_as_bytes_too(line: Line) -> None:
    line.reporter.finished(TaskResult(0, Inline(b""), bytes(BATCH_BYTES), 0.0), more_queued=True)
    assert not line.is_silent


def test_other_reports_go_at_once_and_after_the_results_that_happened_before(line: Line) -> None:
    line.reporter.finished(result(0), more_queued=True)
    line.reporter.tell(TaskKilled(1, "not needed"))
    assert [line.next(), line.next()] == [TasksFinished((result(0),)), TaskKilled(1, "not needed")]


def test_releases_of_leases_ride_along(line: Line) -> None:
    released = ((ShmLocation("segment", 0, 64), 2),)
    line.blocks.releases = released
    line.reporter.finished(result(0), more_queued=True)
    assert line.is_silent
    line.reporter.tell(TaskKilled(1, "not needed"))
    assert [type(line.next()) for _ in range(3)] == [TasksFinished, ReleaseLeases, TaskKilled]


def test_a_result_that_waits_is_sent_though_no_other_comes(line: Line) -> None:
    line.reporter.start()
    line.reporter.finished(result(0), more_queued=True)
    assert line.next() == TasksFinished((result(0),))
    line.reporter.finished(result(1), more_queued=True)
    assert line.next() == TasksFinished((result(1),))
    line.reporter.stop()


def test_stopping_sends_what_waits(line: Line) -> None:
    line.reporter.start()
    line.reporter.finished(result(0), more_queued=True)
    line.reporter.stop()
    assert line.next() == TasksFinished((result(0),))


def test_a_heartbeat_names_the_running_tasks_and_the_memory(line: Line) -> None:
    reporter = line.make(0.001)
    reporter.start()
    beat = line.next()
    reporter.stop()
    assert isinstance(beat, ExecutorHeartbeat)
    assert (beat.executor_id, beat.running) == ("5", (1, 2))
    assert 0 <= beat.shared <= beat.rss


def test_heartbeats_go_on_after_one_that_was_not_answered(line: Line) -> None:
    def unanswered() -> None:
        raise AskTimeoutError("no answer")

    line.blocks.heartbeat = unanswered
    reporter = line.make(0.001)
    reporter.start()
    assert [type(line.next()) for _ in range(2)] == [ExecutorHeartbeat] * 2
    reporter.stop()


def test_without_a_driver_the_process_ends(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    line.driver.abort()
    reporter = line.make(0.001)
    reporter.start()
    reporter._thread.join(DEADLINE)
    assert codes == [1]
