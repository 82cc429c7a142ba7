"""Numbers of frames: whatever happens on the way, what is delivered is a prefix of what was sent, each frame once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.sequence import Sequence


@given(st.lists(st.integers(0, 30)))
def test_what_is_delivered_is_in_order_and_each_frame_once(arrivals: list[int]) -> None:
    sequence: Sequence[int] = Sequence()
    delivered = [frame for number in arrivals for frame in sequence.arrived(number, number)]
    assert delivered == list(range(len(delivered)))
    assert sequence.due == len(delivered)
    assert set(range(len(delivered))) <= set(arrivals)
    assert len(delivered) not in arrivals  # nothing that could be delivered is kept
    assert sequence.doubled == len(arrivals) - len(set(arrivals))


@given(st.permutations(range(10)), st.data())
def test_frames_that_all_come_are_all_delivered(order: list[int], data: st.DataObject) -> None:
    doubled = data.draw(st.lists(st.sampled_from(order)))
    sequence: Sequence[int] = Sequence()
    sequence.announced(10)
    delivered = [frame for number in [*order, *doubled] for frame in sequence.arrived(number, number)]
    assert delivered == list(range(10))
    assert sequence.gap_since(1.0) is None


def test_numbers_follow_each_other_also_after_some_were_taken_back() -> None:
    sequence: Sequence[str] = Sequence()
    assert [sequence.next(), sequence.next(3), sequence.next()] == [0, 1, 4]
    sequence.take_back(2)
    assert (sequence.next(), sequence.sent) == (3, 4)


def test_a_gap_is_seen_behind_a_later_frame_and_ends_when_it_is_filled() -> None:
    sequence: Sequence[str] = Sequence()
    assert sequence.gap_since(1.0) is None
    assert sequence.arrived(1, "b") == ()
    assert [sequence.gap_since(now) for now in (2.0, 3.0)] == [2.0, 2.0]
    assert sequence.arrived(0, "a") == ("a", "b")
    assert sequence.gap_since(4.0) is None
    assert sequence.early == 1


def test_each_gap_has_a_time_of_its_own() -> None:
    sequence: Sequence[str] = Sequence()
    sequence.arrived(1, "b")
    sequence.arrived(3, "d")
    assert sequence.gap_since(1.0) == 1.0
    assert sequence.arrived(0, "a") == ("a", "b")
    assert sequence.gap_since(5.0) == 5.0


def test_a_last_frame_is_missed_when_the_peer_says_how_many_it_sent() -> None:
    sequence: Sequence[str] = Sequence()
    sequence.announced(2)
    sequence.announced(1)  # one that was overtaken
    assert sequence.gap_since(1.0) == 1.0
    assert sequence.arrived(0, "a") == ("a",)
    assert sequence.gap_since(2.0) == 2.0
    assert sequence.arrived(1, "b") == ("b",)
    assert sequence.gap_since(3.0) is None
