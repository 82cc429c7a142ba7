"""Executors as the driver sees them, with a launcher that only listens and Pipes whose far ends the test holds."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.base.event_loop import EventLoop
from localcluster.driver.backoff import LONGEST_PAUSE, PATIENCE
from localcluster.driver.executor_history import FormerExecutor
from localcluster.driver.executor_pool import EXIT_STATUS_WAIT, KILL_WAIT, ExecutorPool, ExecutorStatistics
from localcluster.driver.known_executor import State
from localcluster.driver.liveness import Liveness, Look
from localcluster.driver.replacements import MAX_EARLY_DEATHS, SOON
from localcluster.driver.silence import SilenceWatch
from localcluster.scheduler.statistics import ExecutorTasks
from protocol.channel import Channel
from protocol.cluster_messages import (
    DropStage,
    ExecutorExited,
    ExecutorLaunched,
    KillExecutor,
    LaunchExecutor,
    LaunchFailed,
    LaunchTasks,
    StopExecutor,
)
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import BrokenChannelError, ChannelError, FrameError
from protocol.events import ExecutorAdded, ExecutorLost, ExecutorReplaced, TaskRef
from tests.support import DEADLINE

INTERVAL = 10.0  # seconds between heartbeats
TIMEOUT = 120.0
STOPPED = Look(is_there=True, is_stopped=True)


class Launcher:
    """Takes orders down and hands out pipes."""

    pid = 3999

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.far: dict[str, tuple[Endpoint, Endpoint]] = {}
        self.is_gone = False
        self.has_descriptors = True

    def tell(self, order: Any) -> None:
        if self.is_gone:
            raise BrokenChannelError("the launcher is gone")
        self.told.append(order)

    def receive_pipes(self, executor_id: str) -> tuple[Endpoint, Endpoint]:
        if not self.has_descriptors:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        (orders, far_orders), (reports, far_reports) = Pipe(), Pipe()
        self.far[executor_id] = Endpoint(Channel(far_orders)), Endpoint(Channel(far_reports))
        return Endpoint(Channel(orders, buffered=True)), Endpoint(Channel(reports, buffered=True))

    @property
    def ordered(self) -> list[str]:
        return [order.executor_id for order in self.told if isinstance(order, LaunchExecutor)]


class Bed:
    """A pool over a loop that is not started: the test reads the pipes itself, in the order it wants."""

    def __init__(self) -> None:
        self.now = 100.0
        self.launcher = Launcher()
        self.loop = EventLoop(threading.RLock(), lambda now: 1.0, lambda error: None)
        self.heard: list[tuple[str, Any]] = []
        self.lost: list[tuple[str, str]] = []
        self.draining: list[str] = []
        self.hopeless: list[str] = []
        self.look = Look(is_there=True)
        self.looked_at: set[int] = set()
        self.cached: set[str] = set()  # executors with cached blocks
        self.tasks: dict[str, ExecutorTasks] = {}
        self.faults: dict[str, str] = {}  # {executor: what a plan did to it}
        self.events: list[Any] = []
        self.pool = ExecutorPool(
            self.launcher,  # type: ignore[arg-type]
            self.loop,
            LaunchExecutor("", 2, {"a": "b"}, ("path",)),
            lambda executor_id, incoming: self.heard.append((executor_id, incoming.message)),
            lambda executor_id, reason: self.lost.append((executor_id, reason)),
            self.draining.append,
            self.hopeless.append,
            silence=SilenceWatch(INTERVAL, TIMEOUT, self.look_at),
            has_cached_blocks=self.cached.__contains__,
            clock=lambda: self.now,
            tasks_of=lambda executor_id: self.tasks.get(executor_id, ExecutorTasks()),
            record=self.events.append,
            fault_in=self.faults.get,
        )

    def look_at(self, pid: int) -> Look:
        self.looked_at.add(pid)
        return self.look

    def use(self, executor_id: str) -> None:
        """Give it a task."""
        self.pool.send(executor_id, LaunchTasks(0, None, ()))

    def order(self) -> None:
        """Have one more."""
        self.pool.set_target(self.pool.target + 1)

    def launch(self, *, register: bool = True) -> str:
        self.order()
        executor_id = self.launcher.ordered[-1]
        self.pool.launched(ExecutorLaunched(executor_id, 4000 + int(executor_id)))
        if register:
            self.pool.registered(executor_id)
        return executor_id

    def read(self) -> None:
        """One turn of the loop, without its thread."""
        for key, mask in self.loop._selector.select(0):
            self.loop._serve(key, mask)

    def exit(self, executor_id: str, code: int | None = None, signal: int | None = None) -> None:
        self.pool.exited(ExecutorExited(executor_id, code, signal))

    def close(self) -> None:
        self.pool.close()
        for ends in self.launcher.far.values():
            for end in ends:
                end.abort()
        self.loop._thread.start()
        self.loop.stop(DEADLINE)


@pytest.fixture
def bed() -> Iterator[Bed]:
    bed = Bed()
    yield bed
    bed.close()


def test_an_order_carries_the_template_under_a_new_id(bed: Bed) -> None:
    bed.order()
    bed.order()
    assert bed.launcher.told == [LaunchExecutor(str(n), 2, {"a": "b"}, ("path",)) for n in range(2)]
    assert [executor.state for executor in bed.pool] == [State.ORDERED] * 2


def test_orders_reach_the_executor_and_its_reports_the_driver(bed: Bed) -> None:
    executor_id = bed.launch()
    orders, reports = bed.launcher.far[executor_id]
    bed.pool.send(executor_id, StopExecutor())
    assert orders.receive(DEADLINE).message == StopExecutor()
    reports.tell("report")
    bed.read()
    assert bed.heard == [(executor_id, "report")]


@pytest.mark.parametrize("what", ["nobody", "ordered", "broken"])
def test_who_cannot_be_reached_is_a_channel_error(bed: Bed, what: str) -> None:
    executor_id = "77"
    if what == "ordered":
        bed.order()
        executor_id = "0"
    elif what == "broken":
        executor_id = bed.launch()
        bed.launcher.far[executor_id][0].abort()
        bed.read()
    with pytest.raises(ChannelError, match="is gone"):
        bed.pool.send(executor_id, StopExecutor())
    with pytest.raises(ChannelError, match="is gone"):
        bed.pool.ask(executor_id, StopExecutor())


def test_a_broken_pipe_waits_for_the_exit_status_which_is_in_the_message(bed: Bed) -> None:
    executor_id = bed.launch()
    for end in bed.launcher.far[executor_id]:
        end.abort()
    bed.read()
    assert bed.lost == []
    bed.exit(executor_id, signal=9)
    ((lost, reason),) = bed.lost
    assert lost == executor_id
    assert "pid 4000" in reason
    assert "killed by signal 9" in reason
    assert "out-of-memory" in reason


def test_what_a_plan_did_is_blamed_on_the_plan(bed: Bed) -> None:
    bed.faults["0"], bed.faults["2"] = "kill stage=1 nth=2", "exit code=3"
    bed.exit(bed.launch(), signal=9)
    bed.pool.exited(ExecutorExited(bed.launch(), 3, None, "words"))
    assert [reason for _, reason in bed.lost] == [
        "executor 0 (pid 4000) was killed by signal 9, by the fault 'kill stage=1 nth=2'",
        "executor 2 (pid 4002) exited with code 3, by the fault 'exit code=3': words",
    ]


def test_an_exit_without_an_end_of_pipes_is_a_loss_too(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.exit(executor_id, code=3)
    assert [reason for _, reason in bed.lost] == ["executor 0 (pid 4000) exited with code 3"]


def test_an_exit_is_told_with_the_error_for_which_the_executor_ended_itself(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.exited(ExecutorExited(executor_id, 1, None, "ValueError: no"))
    assert [reason for _, reason in bed.lost] == ["executor 0 (pid 4000) exited with code 1: ValueError: no"]


def test_an_exit_status_that_never_comes_is_not_waited_for_without_end(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.launcher.far[executor_id][1].abort()
    bed.read()
    now = bed.now
    bed.pool.expire(now)
    assert bed.lost == []
    bed.pool.expire(now + EXIT_STATUS_WAIT + 1)
    assert bed.lost == [(executor_id, "executor 0 (pid 4000) closed its pipes")]
    assert KillExecutor(executor_id, "its pipes ended") in bed.launcher.told


def test_an_executor_is_lost_once_and_replaced_once(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.exit(executor_id, code=1)
    bed.exit(executor_id, code=1)
    bed.pool.expire(bed.now + 100)
    assert len(bed.lost) == 1
    assert bed.launcher.ordered == ["0", "1"]
    assert list(bed.pool.executors) == ["1"]


def test_what_it_reported_before_it_died_counts(bed: Bed) -> None:
    executor_id = bed.launch()
    _, reports = bed.launcher.far[executor_id]
    for number in range(3):
        reports.tell(number)
    reports.abort()
    bed.exit(executor_id, signal=11)
    assert bed.heard == [(executor_id, number) for number in range(3)]
    assert len(bed.lost) == 1


def test_one_that_was_doomed_is_told_with_the_reason_and_killed_once(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.kill(executor_id, "it hangs")
    bed.pool.kill(executor_id, "another reason")
    bed.pool.kill("77", "no such executor")
    bed.exit(executor_id, signal=9)
    assert bed.lost == [(executor_id, "executor 0 (pid 4000) was ended: it hangs")]
    assert [order for order in bed.launcher.told if isinstance(order, KillExecutor)] == [
        KillExecutor(executor_id, "it hangs")
    ]


def test_early_deaths_in_a_row_are_hopeless(bed: Bed) -> None:
    for _ in range(MAX_EARLY_DEATHS):
        assert bed.hopeless == []
        bed.exit(bed.launch(register=False), code=1)
        bed.now += LONGEST_PAUSE
        bed.pool.expire(bed.now)

    assert len(bed.hopeless) == 1
    assert "exited with code 1" in bed.hopeless[0]
    assert len(bed.launcher.ordered) == 2 * MAX_EARLY_DEATHS - 1, "the last one is not replaced"


def test_one_that_gets_ready_breaks_the_row(bed: Bed) -> None:
    for _ in range(3):
        for _ in range(MAX_EARLY_DEATHS - 1):
            bed.exit(bed.launch(register=False), code=1)
        bed.launch()
    assert bed.hopeless == []


def test_the_first_early_death_is_made_up_for_at_once_and_the_next_ones_after_pauses_that_grow(bed: Bed) -> None:
    bed.order()
    waits = []
    for number in range(MAX_EARLY_DEATHS - 1):
        bed.pool.launched(ExecutorLaunched(str(number), 4000))
        bed.exit(str(number), code=1)
        start = bed.now
        while len(bed.launcher.ordered) == number + 1:
            bed.now += 0.01
            bed.pool.expire(bed.now)
        waits.append(round(bed.now - start, 1))
    assert waits == [0.0, 0.1, 0.2, 0.4]


def test_deaths_of_those_that_had_tasks_or_lived_for_long_are_never_hopeless(bed: Bed) -> None:
    for _ in range(2 * MAX_EARLY_DEATHS):
        executor_id = bed.launch()
        bed.use(executor_id)
        bed.exit(executor_id, code=1)
        executor_id = bed.launch()
        bed.now += SOON
        bed.exit(executor_id, code=1)
    assert bed.hopeless == []


def test_those_that_die_again_and_again_soon_after_they_were_ready_are_hopeless(bed: Bed) -> None:
    bed.order()
    for number in range(MAX_EARLY_DEATHS):
        assert bed.hopeless == []
        bed.pool.launched(ExecutorLaunched(str(number), 4000))
        bed.pool.registered(str(number))
        bed.exit(str(number), code=7)
        bed.now += LONGEST_PAUSE
        bed.pool.expire(bed.now)
    (reason,) = bed.hopeless
    assert "5 executors in a row died within 5 s of being ready, without a task" in reason
    assert "exited with code 7" in reason


def test_early_deaths_beside_one_that_works_are_only_slow(bed: Bed) -> None:
    works = bed.launch()
    bed.order()
    for number in range(1, 2 * MAX_EARLY_DEATHS):
        bed.pool.launched(ExecutorLaunched(str(number), 4000))
        bed.pool.registered(str(number))
        bed.exit(str(number), code=7)
        bed.now += SOON / 2
        bed.pool.expire(bed.now)
        bed.now += LONGEST_PAUSE
        bed.pool.expire(bed.now)
    assert bed.hopeless == []
    assert bed.pool.executors[works].state is State.REGISTERED


def test_events_tell_of_lives_ends_and_successors(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.tasks[executor_id] = ExecutorTasks((TaskRef(3, 0, 1, 0),), completed=5)
    bed.exit(executor_id, signal=11)
    added, lost, replaced = bed.events
    assert added == ExecutorAdded(added.at, executor_id, 4000)
    reason = "executor 0 (pid 4000) was killed by signal 11"
    assert lost == ExecutorLost(lost.at, executor_id, reason, 11, None, (TaskRef(3, 0, 1, 0),))
    assert replaced == ExecutorReplaced(replaced.at, executor_id, "1")
    assert bed.pool.history.former == (FormerExecutor(executor_id, 4000, added.at, lost.at, reason, 5, 1),)


def test_one_that_was_dismissed_is_not_told_of_as_lost(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.set_target(0)
    bed.pool.drained(executor_id)
    bed.exit(executor_id, code=0)
    assert [type(event) for event in bed.events] == [ExecutorAdded]
    assert [former.reason for former in bed.pool.history.former] == ["executor 0 (pid 4000) was not needed any more"]


def silent(bed: Bed, *looks: Look) -> None:
    """Nothing is heard for so many looks, which show this."""
    for look in looks:
        bed.look = look
        for _ in range(17):
            bed.now += 1.0
            bed.pool.watch(bed.now)


@pytest.mark.parametrize("register", [False, True])
def test_one_that_is_stopped_is_killed(bed: Bed, register: bool) -> None:
    executor_id = bed.launch(register=register)
    bed.pool.watch(bed.now)
    silent(bed, STOPPED, STOPPED)
    lacks = "sent no heartbeat" if register else "did not get ready"
    assert bed.launcher.told[-1] == KillExecutor(executor_id, f"it {lacks} and its process is stopped")
    assert bed.lost == [], "it may have told something before"


def test_one_that_stops_again_and_again_before_it_is_ready_is_hopeless(bed: Bed) -> None:
    executor_id = bed.launch(register=False)
    for _ in range(MAX_EARLY_DEATHS):
        assert bed.hopeless == []
        bed.pool.watch(bed.now)
        silent(bed, STOPPED, STOPPED)
        bed.exit(executor_id, signal=9)
        bed.now += LONGEST_PAUSE
        bed.pool.expire(bed.now)
        executor_id = bed.launcher.ordered[-1]
        if bed.pool.executors:
            bed.pool.launched(ExecutorLaunched(executor_id, 4000 + int(executor_id)))
    assert len(bed.hopeless) == 1
    assert "it did not get ready and its process is stopped" in bed.hopeless[0]


def test_one_that_is_gone_and_of_which_the_launcher_does_not_tell_is_lost(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.watch(bed.now)
    silent(bed, Look(is_there=False))
    bed.pool.expire(bed.now + EXIT_STATUS_WAIT + 1)
    assert [lost for lost, _ in bed.lost] == [executor_id]
    assert "its process is gone" in bed.lost[0][1]


def test_one_that_went_since_it_was_not_understood_is_told_as_that(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    executor_id = bed.launch()
    bed.pool.watch(bed.now)

    def receive_ready(endpoint: Endpoint) -> list[Incoming]:
        raise FrameError("frame 5 was lost")

    monkeypatch.setattr(Endpoint, "receive_ready", receive_ready)
    silent(bed, Look(is_there=False))
    bed.pool.expire(bed.now + EXIT_STATUS_WAIT + 1)
    ((lost, reason),) = bed.lost
    assert lost == executor_id
    assert "frame 5 was lost" in reason


def test_a_message_is_a_sign_of_life(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.watch(bed.now)
    for _ in range(3):
        bed.launcher.far[executor_id][1].tell("report")
        bed.read()
        silent(bed, STOPPED)
    assert [type(order) for order in bed.launcher.told] == [LaunchExecutor]


def test_a_launcher_that_forks_nothing_because_it_is_stopped_is_hopeless(bed: Bed) -> None:
    bed.order()
    bed.pool.watch(bed.now)
    while bed.now < 100.0 + TIMEOUT:
        assert bed.hopeless == []
        silent(bed, STOPPED)
    assert bed.looked_at == {3999}
    assert set(bed.hopeless) == {"the launcher (pid 3999) forks no executor: its process is stopped"}


def test_a_launcher_that_does_not_end_an_executor_is_hopeless(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.kill(executor_id, "it hangs")
    bed.pool.expire(bed.now + KILL_WAIT)
    assert bed.hopeless == []
    bed.pool.expire(bed.now + KILL_WAIT + 1)
    assert bed.hopeless == [f"the launcher (pid 3999) does not end executor {executor_id}"]


NO_PROCESS = "no further process"


def fail_to_launch(bed: Bed) -> None:
    """The launcher has no process for the executor ordered last."""
    bed.pool.launch_failed(LaunchFailed(bed.launcher.ordered[-1], NO_PROCESS))


def test_one_that_could_not_be_forked_is_ordered_again_later_and_the_others_are_left_alone(bed: Bed) -> None:
    first = bed.launch()
    bed.order()
    fail_to_launch(bed)
    assert bed.lost == [("1", f"executor 1 could not be started: {NO_PROCESS}")]
    now = bed.now
    bed.pool.expire(now)
    assert bed.launcher.ordered == ["0", "1"]
    bed.pool.expire(now + LONGEST_PAUSE)
    assert bed.launcher.ordered == ["0", "1", "2"]
    bed.pool.expire(now + 2 * LONGEST_PAUSE)
    assert bed.launcher.ordered == ["0", "1", "2"], "ordered once"
    assert bed.pool.executors[first].state is State.REGISTERED


def test_all_that_could_not_be_forked_are_ordered_again(bed: Bed) -> None:
    for _ in range(3):
        bed.order()
    for number in range(3):
        bed.pool.launch_failed(LaunchFailed(str(number), NO_PROCESS))
    bed.pool.expire(bed.now + LONGEST_PAUSE)
    assert bed.launcher.ordered == list("012345")


def test_a_driver_without_descriptors_for_the_pipes_orders_another_one_later(bed: Bed) -> None:
    bed.launcher.has_descriptors = False
    executor_id = bed.launch(register=False)
    assert [type(order) for order in bed.launcher.told] == [LaunchExecutor, KillExecutor]
    bed.exit(executor_id, signal=9)
    ((_, reason),) = bed.lost
    assert "ulimit -n" in reason
    bed.launcher.has_descriptors = True
    bed.pool.expire(bed.now + LONGEST_PAUSE)
    assert bed.launcher.ordered == ["0", "1"]


def test_a_selector_that_takes_no_more_pipes_leaves_none_open(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = bed.loop._selector.register, [0]

    def register(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(bed.loop._selector, "register", register)
        executor_id = bed.launch(register=False)
    for end in bed.launcher.far[executor_id]:
        end.abort()
    bed.read()
    bed.exit(executor_id, signal=9)
    ((_, reason),) = bed.lost
    assert "memory" in reason


def test_an_executor_that_says_that_it_cannot_start_is_no_early_death(bed: Bed) -> None:
    for _ in range(2 * MAX_EARLY_DEATHS):
        executor_id = bed.launch(register=False)
        bed.pool.launch_failed(LaunchFailed(executor_id, NO_PROCESS))
        assert executor_id in bed.pool.executors, "it is not gone yet"
        bed.exit(executor_id, code=1)
    assert bed.hopeless == []
    assert {reason for _, reason in bed.lost} == {
        f"executor {number} could not be started: {NO_PROCESS}" for number in range(2 * MAX_EARLY_DEATHS)
    }


def test_a_shortage_that_lasts_is_hopeless_when_no_executor_works(bed: Bed) -> None:
    start = bed.now
    first = bed.launch()
    bed.order()
    fail_to_launch(bed)
    while bed.now < start + 2 * PATIENCE:
        bed.now += LONGEST_PAUSE
        bed.pool.expire(bed.now)
        fail_to_launch(bed)
    assert bed.hopeless == [], "one still works"
    bed.exit(first, code=1)
    fail_to_launch(bed)
    assert bed.hopeless == [f"no executor could be started for {PATIENCE:g} s: {NO_PROCESS}"]


def test_a_shortage_is_warned_of_once(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for pause in range(1, 4):
            bed.order()
            fail_to_launch(bed)
            bed.pool.expire(bed.now + pause * LONGEST_PAUSE)
            fail_to_launch(bed)
        assert len(caplog.messages) == 1
        bed.launch()
        bed.order()
        fail_to_launch(bed)
    assert len(caplog.messages) == 2, "a new one is told again"


def test_what_was_put_off_is_not_ordered_after_the_stop(bed: Bed) -> None:
    bed.order()
    fail_to_launch(bed)
    bed.pool.stop()
    bed.pool.expire(bed.now + LONGEST_PAUSE)
    assert bed.launcher.ordered == ["0"]


def test_while_stopping_all_are_told_and_none_is_lost_or_replaced(bed: Bed) -> None:
    first, second = bed.launch(), bed.launch()
    bed.launcher.far[second][0].abort()
    bed.pool.stop()
    assert bed.launcher.far[first][0].receive(DEADLINE).message == StopExecutor()
    bed.exit(first, code=0)
    bed.exit(second, code=0)
    assert (bed.lost, bed.launcher.ordered) == ([], ["0", "1"])


def test_without_a_launcher_losses_are_told_all_the_same(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.launcher.is_gone = True
    bed.exit(executor_id, code=1)
    assert len(bed.lost) == 1


def test_what_the_launcher_tells_is_told_to_the_pool_and_what_it_may_not_is_an_error(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed.order()
    bed.pool.launcher_told([Incoming(ExecutorLaunched("0", 4000)), Incoming(ExecutorExited("0", 3, None))])
    assert bed.lost == [("0", "executor 0 (pid 4000) exited with code 3")]
    bed.pool.launcher_told([Incoming(StopExecutor())])
    assert "StopExecutor is no message to the driver from the launcher" in caplog.text


# --- target and draining ---


def stop_orders(bed: Bed, executor_id: str) -> list[Any]:
    """What the executor was told so far."""
    orders, _ = bed.launcher.far[executor_id]
    bed.pool.send(executor_id, DropStage(0))  # so that there is an end
    told = []
    while (message := orders.receive(DEADLINE).message) != DropStage(0):
        told.append(message)
    return told


def test_the_target_orders_what_lacks_and_its_cores_are_the_slots(bed: Bed) -> None:
    assert bed.pool.slots == 0
    bed.pool.set_target(3)
    assert bed.launcher.ordered == ["0", "1", "2"]
    assert bed.pool.slots == 6
    bed.pool.set_target(4)
    assert bed.launcher.ordered == ["0", "1", "2", "3"]


def test_the_youngest_drain_and_only_then_end_with_their_blocks_kept(bed: Bed) -> None:
    for _ in range(3):
        bed.launch()
    bed.pool.set_target(1)
    assert sorted(bed.draining) == ["1", "2"]
    assert [executor.state for executor in bed.pool] == [State.REGISTERED, State.DRAINING, State.DRAINING]
    assert bed.pool.slots == 2
    assert stop_orders(bed, "1") == []
    bed.pool.drained("1")
    bed.pool.drained("1")
    assert stop_orders(bed, "1") == [StopExecutor()]
    assert stop_orders(bed, "0") == stop_orders(bed, "2") == []


def test_one_that_left_is_told_of_and_not_replaced(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    executor_id = bed.launch()
    bed.pool.set_target(0)
    bed.pool.drained(executor_id)
    for end in bed.launcher.far[executor_id]:
        end.close()
    bed.read()
    bed.exit(executor_id, code=0)
    assert bed.lost == [(executor_id, "executor 0 (pid 4000) was not needed any more")]
    assert bed.launcher.ordered == ["0"]
    assert caplog.text == ""


def test_one_that_dies_while_it_drains_is_lost_and_not_replaced(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    executor_id = bed.launch()
    bed.pool.set_target(0)
    bed.exit(executor_id, signal=9)
    ((_, reason),) = bed.lost
    assert "killed by signal 9" in reason
    assert reason in caplog.text
    assert bed.launcher.ordered == ["0"]


def test_one_that_dies_while_another_drains_is_replaced(bed: Bed) -> None:
    first, _ = bed.launch(), bed.launch()
    bed.pool.set_target(1)
    bed.exit(first, code=1)
    assert bed.launcher.ordered == ["0", "1", "2"]


def test_those_that_do_not_work_yet_go_first_and_drain_when_they_are_ready(bed: Bed) -> None:
    starting, ready = bed.launch(register=False), bed.launch()
    bed.order()
    bed.pool.set_target(1)
    assert bed.draining == []
    assert bed.pool.executors[ready].is_wanted
    bed.pool.registered(starting)
    assert bed.draining == [starting]
    assert bed.pool.executors[starting].state is State.DRAINING


def test_one_whose_pipes_have_ended_goes_before_one_that_works(bed: Bed) -> None:
    broken, _ = bed.launch(), bed.launch()
    bed.launcher.far[broken][0].abort()
    bed.read()
    bed.pool.set_target(1)
    assert bed.draining == []
    bed.exit(broken, code=1)
    assert (len(bed.lost), bed.launcher.ordered) == (1, ["0", "1"])


def test_what_was_put_off_is_given_up_first(bed: Bed) -> None:
    bed.launch()
    for _ in range(2):
        bed.order()
        fail_to_launch(bed)
    bed.pool.set_target(2)
    assert bed.draining == []
    bed.pool.expire(bed.now + LONGEST_PAUSE)
    assert bed.launcher.ordered == ["0", "1", "2", "3"], "one of the two"


def test_one_that_drains_is_not_taken_back(bed: Bed) -> None:
    bed.launch()
    bed.pool.set_target(0)
    bed.pool.set_target(1)
    assert bed.launcher.ordered == ["0", "1"]
    assert bed.pool.executors["0"].state is State.DRAINING


def test_early_deaths_of_those_that_nobody_wants_are_not_hopeless(bed: Bed) -> None:
    for _ in range(MAX_EARLY_DEATHS):
        executor_id = bed.launch(register=False)
        bed.pool.set_target(0)
        bed.exit(executor_id, code=1)
    assert bed.hopeless == []
    assert len(bed.launcher.ordered) == MAX_EARLY_DEATHS


def test_one_that_drains_and_stops_is_killed_as_ever(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.set_target(0)
    bed.pool.watch(bed.now)
    silent(bed, STOPPED, STOPPED)
    assert bed.launcher.told[-1] == KillExecutor(executor_id, f"it sent no heartbeat and {Liveness.STOPPED.value}")


def test_the_stop_reaches_those_that_drain(bed: Bed) -> None:
    executor_id = bed.launch()
    bed.pool.set_target(0)
    bed.pool.stop()
    assert stop_orders(bed, executor_id) == [StopExecutor()]
    bed.exit(executor_id, code=0)
    assert bed.lost == []
    bed.pool.drained(executor_id)  # says the scheduler, which was not told


# --- statistics ----------------------------------------------------------------------------------------------------


def test_statistics_count_executors_in_each_state(bed: Bed) -> None:
    bed.order()
    lost, _ = bed.launch(), bed.launch(register=False)
    assert bed.pool.statistics() == ExecutorStatistics(target=3, alive=1, starting=2, draining=0, ordered=3, lost=0)
    bed.exit(lost, code=1)
    again = bed.pool.statistics()
    assert (again.alive, again.starting, again.ordered, again.lost) == (0, 3, 4, 1), "another was ordered"
    left = bed.launch()
    bed.pool.set_target(0)
    assert bed.pool.statistics().draining == 1
    bed.pool.drained(left)
    bed.exit(left, code=0)
    assert bed.pool.statistics().lost == 1, "one that left is not lost"


def test_messages_of_executors_that_ended_still_count(bed: Bed) -> None:
    first, second = bed.launch(), bed.launch()
    for executor_id in (first, first, second):
        bed.pool.send(executor_id, StopExecutor())
    bed.launcher.far[first][1].tell(ExecutorExited("x", 0, None))
    bed.read()
    before = bed.pool.messages()
    assert (before.frames_sent, before.frames_received) == (3, 1)
    assert before.bytes_sent > before.bytes_received > 0
    bed.exit(first, code=1)
    assert bed.pool.messages() == before


def test_those_without_cached_blocks_drain_first(bed: Bed) -> None:
    for _ in range(3):
        bed.launch()
    bed.cached |= {"1", "2"}
    bed.pool.set_target(2)
    assert bed.draining == ["0"]
    bed.pool.set_target(1)
    assert bed.draining == ["0", "2"]
