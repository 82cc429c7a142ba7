"""The driver's table of map outputs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.shuffle.map_status import MapStatus


@pytest.fixture
def tracker() -> Iterator[MapOutputTracker]:
    tracker = MapOutputTracker()
    tracker.register_shuffle(7, 3)
    yield tracker
    tracker.check()


def status(map_id: int) -> MapStatus:
    return MapStatus("a", map_id, (None,))


def test_a_shuffle_is_complete_with_its_last_output(tracker: MapOutputTracker) -> None:
    for index in (2, 0):
        assert tracker.register_output(7, index, status(index))
        assert not tracker.is_complete(7)
    assert tracker.missing(7) == [1]
    assert tracker.register_output(7, 1, status(1))
    assert tracker.is_complete(7)
    assert tracker.missing(7) == []


def test_an_unknown_shuffle_is_not_complete(tracker: MapOutputTracker) -> None:
    assert not tracker.is_complete(8)
    assert list(tracker.table(8)) == []


def test_a_shuffle_without_map_tasks_is_complete(tracker: MapOutputTracker) -> None:
    tracker.register_shuffle(8, 0)
    assert tracker.is_complete(8)
    assert not tracker.lose_output(8, 0), "there is none to lose"


def test_the_first_output_of_an_index_stays(tracker: MapOutputTracker) -> None:
    assert tracker.register_output(7, 0, status(1))
    assert not tracker.register_output(7, 0, status(2))
    assert tracker.table(7)[0] == status(1)


def test_registering_a_shuffle_again_keeps_its_outputs(tracker: MapOutputTracker) -> None:
    tracker.register_output(7, 0, status(1))
    tracker.register_shuffle(7, 3)
    assert tracker.missing(7) == [1, 2]


def test_a_loss_opens_a_new_epoch_once(tracker: MapOutputTracker) -> None:
    tracker.register_output(7, 0, status(1))
    epoch = tracker.epoch
    assert tracker.lose_output(7, 0)
    assert not tracker.lose_output(7, 0)
    assert tracker.epoch == epoch + 1
    assert tracker.missing(7) == [0, 1, 2]


def test_what_another_task_wrote_since_is_not_what_was_missed(tracker: MapOutputTracker) -> None:
    tracker.register_output(7, 0, status(20))
    assert not tracker.lose_output(7, 0, map_id=19)
    assert not tracker.lose_output(7, 0, map_id=21)
    assert tracker.table(7)[0] == status(20)
    assert tracker.lose_output(7, 0, map_id=20)


def test_outputs_of_a_cleaned_shuffle_are_refused(tracker: MapOutputTracker) -> None:
    epoch = tracker.epoch
    tracker.unregister_shuffle(7)
    tracker.unregister_shuffle(7)
    assert tracker.epoch == epoch + 1
    assert not tracker.register_output(7, 0, status(1))
    assert not tracker.lose_output(7, 0)
