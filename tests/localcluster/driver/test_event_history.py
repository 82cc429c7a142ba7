"""What is kept of a run's events, in which order, and how many there were."""

from __future__ import annotations

from typing import get_args

import pytest

from localcluster import events
from localcluster.driver.event_history import COUNTED_AS, EventCounts, EventHistory
from protocol.events import BlockLost, Event, ExecutorAdded, FaultFired, TaskRef, TasksLaunched, TaskStarted


def added(number: int) -> ExecutorAdded:
    return ExecutorAdded(float(number), str(number), 1000 + number)


def lost(number: int) -> BlockLost:
    return BlockLost(float(number), f"rdd_0_{number}", "0")


def launch(*partitions: int) -> TasksLaunched:
    return TasksLaunched(0.5, "0", 7, 1, tuple((partition, 0) for partition in partitions), speculative=False)


def start(partition: int) -> TaskStarted:
    return TaskStarted(0.5, TaskRef(7, 1, partition, 0), "0", False)


@pytest.fixture
def history() -> EventHistory:
    return EventHistory(kept=3)


def test_each_type_of_event_is_counted_by_a_name_of_its_own() -> None:
    assert set(COUNTED_AS) == set(get_args(Event))
    assert tuple(COUNTED_AS.values()) == EventCounts._fields


def test_programs_find_each_type_of_event() -> None:
    assert set(events.__all__) == {kind.__name__ for kind in get_args(Event)} | {"Event", "TaskRef"}


def test_events_are_read_in_the_order_in_which_they_happened_whatever_their_types(history: EventHistory) -> None:
    for event in (added(0), lost(0), added(1), launch(4, 5), lost(1)):
        history.record(event)
    assert history.events() == (added(0), lost(0), added(1), start(4), start(5), lost(1))


def test_some_types_of_events_are_asked_for(history: EventHistory) -> None:
    for event in (added(0), lost(0), launch(4), added(1)):
        history.record(event)
    assert history.events(ExecutorAdded) == (added(0), added(1))
    assert history.events(TaskStarted, BlockLost, BlockLost) == (lost(0), start(4))


def test_many_events_of_one_type_push_out_the_oldest_of_that_type_only_and_are_counted(history: EventHistory) -> None:
    history.record(added(0))
    for number in range(5):
        history.record(lost(number))
    assert history.events() == (added(0), lost(2), lost(3), lost(4))
    assert (history.counts().blocks_lost, history.counts().executors_added, history.counts().tasks_started) == (5, 1, 0)


def test_launches_are_kept_by_the_number_of_their_tasks(history: EventHistory) -> None:
    for partitions in ((0,), (1, 2), (3,)):
        history.record(launch(*partitions))
    assert history.events() == (start(1), start(2), start(3))
    assert history.counts().tasks_started == 4


def test_the_newest_starts_of_a_launch_larger_than_the_bound_are_kept(history: EventHistory) -> None:
    history.record(launch(0))
    history.record(launch(*range(10)))
    assert history.events() == (start(7), start(8), start(9))
    assert history.counts().tasks_started == 11


def test_what_happened_elsewhere_is_recorded_before_anybody_reads() -> None:
    history = EventHistory()
    first, second = FaultFired(1.0, "kill", "0", ""), FaultFired(2.0, "kill", "1", "")
    elsewhere = [first, second]
    history.before_reading(lambda: history.record(elsewhere.pop(0)) if elsewhere else None)
    assert history.events() == (first,)
    assert history.counts().faults_fired == 2
    assert history.events() == (first, second)
