"""Executors without a sign of life, on a clock of the test's own."""

from __future__ import annotations

import logging

import pytest

from localcluster.driver.known_executor import Executor, State
from localcluster.driver.liveness import Liveness, Look
from localcluster.driver.silence import SilenceWatch

INTERVAL = 10.0
TIMEOUT = 120.0
STOPPED = Look(True, is_stopped=True)
IDLE = Look(True, used={1: 3.0, 2: 1.0})


class Bed:
    def __init__(self, state: State = State.REGISTERED) -> None:
        self.now = 0.0
        self.look = IDLE
        self.looks: list[int] = []
        self.executor = Executor("1", state, pid=4001, was_ready=state is State.REGISTERED)
        self.watch = SilenceWatch(INTERVAL, TIMEOUT, self.look_at)

    def look_at(self, pid: int) -> Look:
        self.looks.append(pid)
        return self.look

    def run(self, seconds: float, *, beats: bool = False, works: bool = False) -> Liveness | None:
        """Rounds until a verdict, which is returned, or the time is over."""
        end = self.now + seconds
        beat = self.now
        while self.now < end:
            if beats and self.now >= beat:
                self.watch.heard("1")
                beat += INTERVAL
            if works:
                self.look = self.look._replace(used={1: self.look.used[1] + self.watch.round})
            for verdict in self.watch.check([self.executor], 3999, self.now):
                return verdict.liveness
            self.now += self.watch.round
        return None


def test_one_that_is_heard_of_is_not_looked_at() -> None:
    bed = Bed()
    assert bed.run(1000, beats=True) is None
    assert bed.looks == []


@pytest.mark.parametrize("state", [State.REGISTERED, State.STARTING, State.DRAINING])
def test_one_that_is_stopped_is_found_within_three_heartbeats(state: State) -> None:
    bed = Bed(state)
    bed.run(100, beats=True)
    stopped_at = bed.now
    bed.look = STOPPED
    assert bed.run(1000) is Liveness.STOPPED
    assert bed.now - stopped_at <= 3 * INTERVAL - bed.watch.round


def test_one_that_is_stopped_for_a_moment_is_not() -> None:
    bed = Bed()
    bed.run(20, beats=True)
    for _ in range(5):  # as a tool does that slows a process down
        bed.look = STOPPED
        assert bed.run(INTERVAL / 4) is None
        bed.look = IDLE
        assert bed.run(INTERVAL / 2) is None


def test_one_that_does_nothing_is_lost_when_the_timeout_is_over() -> None:
    bed = Bed()
    bed.run(100, beats=True)
    heard_at = bed.now - INTERVAL
    assert bed.run(1000) is Liveness.HUNG
    assert TIMEOUT <= bed.now - heard_at <= TIMEOUT + INTERVAL


def test_one_that_works_is_waited_for_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    bed = Bed()
    with caplog.at_level(logging.WARNING):
        assert bed.run(10 * TIMEOUT, works=True) is None
        assert [message for message in caplog.messages if "waited for" in message] == [
            "executor 1 sent no heartbeat, but its process is using the processor; it is waited for"
        ]
        bed.run(INTERVAL, beats=True)
    assert caplog.messages[-1] == "executor 1 is heard again"


def test_one_that_worked_and_does_nothing_any_more_has_the_timeout_from_then_on() -> None:
    bed = Bed()
    bed.run(2 * TIMEOUT, works=True)
    idle_since = bed.now
    assert bed.run(1000) is Liveness.HUNG
    assert TIMEOUT - INTERVAL <= bed.now - idle_since <= TIMEOUT + INTERVAL


def test_one_that_starts_has_the_timeout_to_get_ready_whatever_it_says() -> None:
    bed = Bed(State.STARTING)
    assert bed.run(1000, beats=True) is Liveness.HUNG
    assert TIMEOUT <= bed.now <= TIMEOUT + INTERVAL


def test_one_that_is_not_forked_is_its_launchers_fault_after_the_timeout_even_if_that_is_stopped() -> None:
    bed = Bed(State.ORDERED)
    bed.look = STOPPED
    assert bed.run(1000) is Liveness.STOPPED
    assert bed.now >= TIMEOUT
    assert set(bed.looks) == {3999}


def test_one_whose_pipes_ended_is_not_looked_at() -> None:
    bed = Bed(State.BROKEN)
    assert bed.run(1000) is None
    assert bed.looks == []


def test_one_that_is_gone_is_told_at_the_first_look() -> None:
    bed = Bed()
    bed.look = Look(False)
    assert bed.run(1000) is Liveness.GONE
    assert bed.now <= 2 * INTERVAL


@pytest.mark.parametrize("look", [STOPPED, IDLE], ids=["stopped", "idle"])
def test_beats_that_were_missed_while_the_driver_was_stopped_do_not_count(look: Look) -> None:
    """Ctrl-Z and fg; or all were stopped together and this process came back first."""
    bed = Bed()
    bed.run(100, beats=True)
    bed.look = look
    bed.now += 10 * TIMEOUT
    came_back = bed.now
    assert bed.run(INTERVAL / 2) is None
    assert bed.watch.awake_since == came_back
    bed.look = IDLE
    assert bed.run(100, beats=True) is None


def test_pauses_of_the_driver_hide_no_stopped_executor() -> None:
    """A beat that was in the pipe when the driver came back is one beat, not a credit for the pause."""
    bed = Bed()
    bed.run(100, beats=True)
    bed.now += 10 * TIMEOUT
    bed.watch.heard("1")
    bed.look = STOPPED
    came_back = bed.now
    assert bed.run(1000) is Liveness.STOPPED
    assert bed.now - came_back <= 3 * INTERVAL


def test_short_heartbeats_make_short_rounds() -> None:
    assert SilenceWatch(0.1, 1.0).round == 0.025
    assert SilenceWatch(10.0, 120.0).round == 0.5
