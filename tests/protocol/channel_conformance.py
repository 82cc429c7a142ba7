"""What every channel must do, whatever connection it runs over: ``check(make_pair)`` for each of `CHANNEL_CHECKS`.

``make_pair`` returns the two connected ends of a duplex byte stream; each check closes both.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

import pytest

from protocol import inbound, outbound
from protocol.bad_wire import DOUBLED, LOST, OVERTAKEN, Fate
from protocol.channel import Channel
from protocol.errors import (
    AskTimeoutError,
    BrokenChannelError,
    ChannelError,
    ClosedChannelError,
    EndOfChannel,
    FrameError,
    FrameTooLargeError,
)
from protocol.wire import HEADER_SIZE, Frame, Kind, encode
from tests.protocol.support import BIG, LONG, SHORT, MakePair, channels, clog, drain, tell, wait_blocked, wait_readable
from tests.support import InThread

# --- frames ---


def frames_arrive_whole_and_in_order(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        sent = [Frame(Kind.ASK, 2**63, b"x"), Frame(Kind.REPLY, 7, b""), Frame(Kind.ERROR, 1, b"\0" * 70_000)]
        left.send(*sent)
        left.send(tell())
        assert [right.receive(LONG) for _ in range(4)] == [*sent, tell()]
        right.send(tell(b"back"))
        assert left.receive(LONG) == tell(b"back")


def several_frames_come_out_of_one_read(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        assert right.receive_ready() == []
        left.send(*[tell(b"%d" % number) for number in range(100)])
        wait_readable(right)
        assert [frame.payload for frame in right.receive_ready()] == [b"%d" % number for number in range(100)]
        assert right.receive_ready() == []


def a_frame_larger_than_the_socket_arrives(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        sender = InThread(lambda: left.send(tell(BIG), timeout=LONG))
        assert right.receive(LONG) == tell(BIG)
        assert sender.outcome() is None


def frames_of_several_threads_do_not_mix(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        payloads = [bytes([65 + number]) * (50_000 + number) for number in range(4)]
        senders = [
            InThread(lambda p=payload: [left.send(tell(p), timeout=LONG) for _ in range(10)]) for payload in payloads
        ]
        received = [right.receive(LONG).payload for _ in range(40)]
        assert sorted(received) == sorted(payloads * 10)
        assert all(not isinstance(sender.outcome(), BaseException) for sender in senders)


def statistics_count_frames_and_bytes(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(), tell())
        right.receive(LONG)
        right.receive(LONG)
        size = len(encode((tell(), tell())))
        assert (left.statistics().frames_sent, left.statistics().bytes_sent) == (2, size)
        assert (right.statistics().frames_received, right.statistics().bytes_received) == (2, size)


# --- ends ---


def after_a_goodbye_comes_the_clean_end(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell())
        left.close()
        assert right.receive(LONG) == tell()
        for _ in range(2):
            with pytest.raises(EndOfChannel):
                right.receive(LONG)
            with pytest.raises(EndOfChannel):
                right.receive_ready()


def a_goodbye_is_seen_by_a_peer_that_left_bytes_unread(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        right.send(tell())  # left closes with this unread: the system answers right's reads with ECONNRESET
        left.close()
        with pytest.raises(EndOfChannel):
            right.receive(LONG)


def without_a_goodbye_the_channel_is_broken(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell())
        left.abort()
        assert right.receive(LONG) == tell()
        for _ in range(2):
            with pytest.raises(BrokenChannelError):
                right.receive(LONG)
            with pytest.raises(BrokenChannelError):
                right.receive_ready()


def an_end_inside_a_frame_is_broken_and_says_so(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        os.write(left.fileno(), encode((tell(), tell()))[:-1])
        left.abort()
        assert right.receive(LONG) == tell()
        with pytest.raises(BrokenChannelError, match=r"right.*truncated"):
            right.receive(LONG)


def what_a_dead_peer_sent_is_received_though_sending_fails(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell())
        left.abort()
        for _ in range(2):
            with pytest.raises(BrokenChannelError):
                right.send(tell())
        assert right.receive(LONG) == tell()


def use_after_our_own_close_is_an_error_of_its_own(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, _):
        left.close()
        left.close()  # again is nothing
        uses: list[Callable[[], Any]] = [left.receive, left.receive_ready, left.flush, left.fileno]
        uses.append(lambda: left.send(tell()))
        for use in uses:
            with pytest.raises(ClosedChannelError):
                use()


def closing_wakes_a_thread_that_receives(make_pair: MakePair) -> None:
    for end in (Channel.close, Channel.abort):
        with channels(make_pair) as (left, _):
            receiver = InThread(left.receive)
            wait_blocked(receiver, left._receive_lock)
            end(left)
            assert isinstance(receiver.outcome(), ClosedChannelError)


def closing_wakes_a_thread_that_sends(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, _):
        sender = InThread(lambda: left.send(tell(BIG)))
        wait_blocked(sender, left._send_lock)
        left.close(timeout=SHORT)
        assert isinstance(sender.outcome(), ClosedChannelError)


def failing_makes_both_sides_see_it_and_know_why(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell())
        left.fail(FrameError("unusable"))
        for use in (left.receive, left.receive_ready, lambda: left.send(tell())):
            with pytest.raises(FrameError, match=r"^unusable"):
                use()
        assert right.receive(LONG) == tell()
        for _ in range(2):
            with pytest.raises(FrameError, match="channel right: the peer gave up: unusable"):
                right.receive(LONG)
        with pytest.raises(ChannelError):
            right.send(tell())


def failing_does_not_wait_for_a_sender_or_a_full_socket(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        sender = InThread(lambda: left.send(tell(BIG)))
        wait_blocked(sender, left._send_lock)
        left.fail(FrameError("unusable"))
        assert isinstance(sender.outcome(), ChannelError)
        with pytest.raises(BrokenChannelError):
            right.receive(LONG)
    with channels(make_pair) as (left, right):
        clog(left)
        left.fail(FrameError("unusable"))
        with pytest.raises(FrameError, match="garbled"):
            right.receive(LONG)


# --- deadlines ---


def a_receive_that_timed_out_loses_nothing(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        with pytest.raises(AskTimeoutError):
            right.receive(0)
        data = encode((tell(),))
        os.write(left.fileno(), data[:10])
        with pytest.raises(AskTimeoutError):
            right.receive(SHORT)
        os.write(left.fileno(), data[10:])
        assert right.receive(LONG) == tell()


def a_send_that_never_began_leaves_the_channel_usable(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        size = clog(left)
        with pytest.raises(AskTimeoutError):
            left.send(tell(b"never sent"), timeout=SHORT)
        drain(right, size)
        left.send(tell())
        assert right.receive(LONG) == tell()


def a_send_that_stuck_inside_a_frame_breaks_the_channel(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        with pytest.raises(BrokenChannelError, match="inside a frame"):
            left.send(tell(BIG), timeout=SHORT)
        with pytest.raises(BrokenChannelError):
            left.send(tell())
        with pytest.raises(BrokenChannelError, match="truncated"):
            right.receive(LONG)


# --- garbage ---


def garbage_is_a_frame_error_for_good(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        os.write(left.fileno(), encode((tell(),)) + b"garbage that is longer than a header")
        assert right.receive(LONG) == tell()
        for _ in range(2):
            with pytest.raises(FrameError, match=r"right.*garbled"):
                right.receive(LONG)
        with pytest.raises(ChannelError):
            left.receive(LONG)  # the peer learns of it, instead of talking to nobody


def frames_before_garbage_are_not_lost_and_the_selector_sees_the_rest(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        os.write(left.fileno(), encode((tell(), tell())) + b"garbage that is longer than a header")
        wait_readable(right)
        assert right.receive_ready() == [tell(), tell()]
        wait_readable(right)
        with pytest.raises(FrameError):
            right.receive_ready()


def an_oversized_frame_is_refused_by_both_sides(make_pair: MakePair) -> None:
    with channels(make_pair, max_frame=100) as (left, right):
        with pytest.raises(FrameTooLargeError, match="101 bytes"):
            left.send(tell(b"x" * 101))
        left.send(tell())  # the sender's channel is as it was
        assert right.receive(LONG) == tell()
        right.send(tell(b"x" * 101))
        with pytest.raises(FrameError, match="oversized"):
            left.receive(LONG)


# --- frames that a bad wire lost, doubled, swapped, delayed or garbled ---


def a_doubled_frame_is_delivered_once(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(b"1"), fate=DOUBLED)
        left.send(tell(b"2"))
        assert [right.receive(LONG).payload for _ in range(2)] == [b"1", b"2"]
        assert (right.statistics().doubled, right.statistics().frames_received) == (1, 2)


def a_frame_that_was_overtaken_is_delivered_in_its_place(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(b"1"), fate=OVERTAKEN)
        assert right.receive_ready() == []
        left.send(tell(b"2"))
        left.send(tell(b"3"), fate=OVERTAKEN)
        left.announce(1e9)  # no other frame follows
        assert [right.receive(LONG).payload for _ in range(3)] == [b"1", b"2", b"3"]
        assert right.statistics().early == 1


def a_delay_holds_up_what_comes_behind_but_not_the_sender(make_pair: MakePair) -> None:
    for options in ({}, {"buffered": True}):
        with channels(make_pair, **options) as (left, right):
            left.send(tell(b"slow"), fate=Fate(delay=LONG))
            left.send(tell(b"behind"))
            left.announce(time.monotonic())
            assert right.receive_ready() == []
            assert not left.wants_write
            left.announce(time.monotonic() + LONG)
            assert [right.receive(LONG).payload for _ in range(2)] == [b"slow", b"behind"]


def what_a_bad_wire_kept_goes_out_before_the_goodbye(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(b"1"), fate=Fate(delay=LONG))
        left.send(tell(b"2"), fate=OVERTAKEN)
        left.close()
        assert [right.receive(LONG).payload for _ in range(2)] == [b"1", b"2"]
        with pytest.raises(EndOfChannel):
            right.receive(LONG)


def a_lost_frame_breaks_the_channel_both_ways(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(b"1"))
        left.send(tell(b"2"), fate=LOST)
        left.send(tell(b"3"))
        assert right.receive(LONG) == tell(b"1")
        with pytest.raises(AskTimeoutError):
            right.receive(SHORT)  # it may still come
        for _ in range(2):
            with pytest.raises(FrameError, match="right: frame 1 was lost"):
                right.receive(LONG)
        with pytest.raises(FrameError, match="the peer gave up: channel right: frame 1 was lost"):
            left.receive(LONG)


def a_lost_frame_is_seen_though_others_keep_coming(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(), fate=LOST)
        begun = time.monotonic()

        def send_on() -> None:
            while time.monotonic() < begun + LONG:
                left.send(tell())

        sender = InThread(send_on)
        with pytest.raises(FrameError, match="frame 0 was lost"):
            right.receive(LONG)
        assert isinstance(sender.outcome(), BrokenChannelError)


def a_lost_last_frame_is_seen_when_the_sender_says_how_many_it_sent(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(), fate=LOST)
        left.announce(1.0)
        with pytest.raises(FrameError, match="frame 0 was lost"):
            right.receive(LONG)


def an_event_loop_hears_of_a_lost_frame(make_pair: MakePair) -> None:
    with channels(make_pair, buffered=True) as (left, right):
        right.send(tell(b"1"))
        right.send(tell(b"2"), fate=LOST)
        right.announce(1.0)
        wait_readable(left)
        assert left.receive_ready() == [tell(b"1")]
        left.expire(10.0)
        left.expire(10.0 + inbound.GAP_PATIENCE * 0.9)
        assert left.receive_ready() == []
        left.expire(10.0 + inbound.GAP_PATIENCE)
        wait_readable(left)  # so that the loop reads it
        with pytest.raises(FrameError, match="frame 1 was lost"):
            left.receive_ready()


def a_goodbye_behind_a_lost_frame_is_no_clean_end(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(), fate=LOST)
        left.close()
        with pytest.raises(BrokenChannelError, match="frame 0 was lost"):
            right.receive(LONG)


def any_garbled_byte_of_a_frame_breaks_the_channel(make_pair: MakePair) -> None:
    for position in range(HEADER_SIZE + 5):
        with channels(make_pair) as (left, right):
            left.send(tell(b"1"))
            left.send(tell(b"hello"), fate=Fate(garbled=position))
            assert right.receive(LONG) == tell(b"1")
            with pytest.raises(FrameError):
                right.receive(LONG)  # at once: it does not wait for bytes of a wrong length
            with pytest.raises(FrameError, match="the peer gave up"):
                left.receive(LONG)


def a_frame_that_was_never_sent_leaves_no_gap(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.send(tell(b"1"))
        assert right.receive(LONG) == tell(b"1")
        size = clog(left)
        with pytest.raises(AskTimeoutError):
            left.send(tell(b"never sent"), timeout=SHORT)
        left.announce(1e9)  # the socket is full: it does not wait
        drain(right, size)
        left.send(tell(b"2"))
        assert right.receive(LONG) == tell(b"2")
        assert left.statistics().frames_sent == 2


def an_announcement_is_made_once_and_is_no_frame_to_the_reader(make_pair: MakePair) -> None:
    with channels(make_pair) as (left, right):
        left.announce(10.0)
        assert left.statistics().bytes_sent == 0
        left.send(tell())
        for now in (10.0, 10.1, 99.0):
            left.announce(now)
        assert left.statistics().bytes_sent == len(encode((tell(), Frame(Kind.COUNT))))
        assert right.receive(LONG) == tell()
        with pytest.raises(AskTimeoutError):
            right.receive(0)
        left.abort()
        left.announce(200.0)  # is nothing


# --- frames that are sent again when they were lost ---


def what_was_lost_is_sent_again(make_pair: MakePair) -> None:
    with channels(make_pair, resends=True) as (left, right):
        now = time.monotonic()
        left.send(tell(b"1"), fate=LOST)
        left.send(tell(b"2"))
        left.send(tell(b"3"), fate=LOST)
        left.announce(now)
        assert right.receive_ready() == []
        left.announce(now + 2 * outbound.RESEND_AFTER)
        assert [right.receive(LONG).payload for _ in range(3)] == [b"1", b"2", b"3"]
        right.announce(now)  # that it has them
        assert left.receive_ready() == []
        sent = left.statistics().bytes_sent
        for times in (4, 6, 8):
            left.announce(now + times * outbound.RESEND_AFTER)
        assert left.statistics().bytes_sent == sent


def what_was_garbled_is_sent_again_unless_it_is_its_head(make_pair: MakePair) -> None:
    for position in (HEADER_SIZE, HEADER_SIZE + 4, HEADER_SIZE - 1, 7):
        with channels(make_pair, resends=True) as (left, right):
            left.send(tell(b"hello"), fate=Fate(garbled=position))
            left.send(tell(b"2"))
            if position < HEADER_SIZE - 4:
                with pytest.raises(FrameError, match="checksum of its head"):
                    right.receive(LONG)
            else:
                assert right.receive_ready() == []
                left.announce(time.monotonic() + 2 * outbound.RESEND_AFTER)
                assert [right.receive(LONG).payload for _ in range(2)] == [b"hello", b"2"]


def what_comes_again_is_delivered_once(make_pair: MakePair) -> None:
    with channels(make_pair, resends=True) as (left, right):
        left.send(tell(b"1"))
        left.announce(time.monotonic() + 2 * outbound.RESEND_AFTER)  # the confirmation is late
        left.send(tell(b"2"))
        assert [right.receive(LONG).payload for _ in range(2)] == [b"1", b"2"]
        assert right.statistics().doubled == 1


def nothing_is_sent_again_without_end(make_pair: MakePair) -> None:
    with channels(make_pair, resends=True) as (left, _):
        left.send(tell())
        sent = []
        for times in range(1, 20):
            left.announce(time.monotonic() + times * 2 * outbound.RESEND_AFTER)
            sent.append(left.statistics().bytes_sent)
        assert len(set(sent)) == outbound.RESEND_TIMES
        assert sent[-1] == (1 + outbound.RESEND_TIMES) * len(encode((tell(),))) + len(encode((Frame(Kind.COUNT),)))


def what_stays_lost_breaks_also_a_channel_that_resends(make_pair: MakePair) -> None:
    with channels(make_pair, resends=True) as (left, right):
        left.send(tell(), fate=LOST)
        left.send(tell())
        with pytest.raises(FrameError, match="frame 0 was lost"):
            right.receive(LONG)


# --- buffered ---


def a_buffered_side_never_waits_for_its_peer(make_pair: MakePair) -> None:
    with channels(make_pair, buffered=True) as (left, right):
        calls: list[int] = []
        left.on_backlog = lambda: calls.append(left.statistics().backlog)
        left.send(tell())
        assert not left.wants_write
        assert calls == []
        for number in range(3):
            left.send(tell(b"%d" % number + BIG))
        assert left.wants_write
        assert len(calls) == 1
        assert left.statistics().backlog > 2 * len(BIG)
        assert not left.flush()
        reader = InThread(lambda: [right.receive(LONG).payload for _ in range(4)])
        while not left.flush():
            assert select.select([], [left], [], LONG)[1]
        assert reader.outcome() == [b"hello", *(b"%d" % number + BIG for number in range(3))]
        assert left.statistics().backlog == 0
        assert not left.wants_write


def a_buffered_side_tells_of_every_new_backlog(make_pair: MakePair) -> None:
    with channels(make_pair, buffered=True) as (left, right):
        calls: list[None] = []
        left.on_backlog = lambda: calls.append(None)
        for times in (1, 2):
            size = clog(left)
            left.send(tell())
            assert len(calls) == times
            drain(right, size)
            assert left.flush()
            assert right.receive(LONG) == tell()


def a_buffered_side_closes_with_its_backlog_sent(make_pair: MakePair) -> None:
    with channels(make_pair, buffered=True) as (left, right):
        left.send(tell(BIG))
        reader = InThread(lambda: right.receive(LONG))
        left.close(timeout=LONG)
        assert reader.outcome() == tell(BIG)
        with pytest.raises(EndOfChannel):
            right.receive(LONG)


def a_buffered_side_closes_though_its_peer_is_stopped(make_pair: MakePair) -> None:
    with channels(make_pair, buffered=True) as (left, right):
        left.send(tell(BIG))
        left.close(timeout=SHORT)
        with pytest.raises(BrokenChannelError, match="truncated"):
            right.receive(LONG)


def a_backlog_for_a_dead_peer_is_dropped_with_an_error(make_pair: MakePair) -> None:
    with channels(make_pair, buffered=True) as (left, right):
        left.send(tell(BIG))
        right.abort()
        with pytest.raises(BrokenChannelError):
            left.flush()
        assert not left.wants_write


CHANNEL_CHECKS: tuple[Callable[[MakePair], None], ...] = (
    frames_arrive_whole_and_in_order,
    several_frames_come_out_of_one_read,
    a_frame_larger_than_the_socket_arrives,
    frames_of_several_threads_do_not_mix,
    statistics_count_frames_and_bytes,
    after_a_goodbye_comes_the_clean_end,
    a_goodbye_is_seen_by_a_peer_that_left_bytes_unread,
    without_a_goodbye_the_channel_is_broken,
    an_end_inside_a_frame_is_broken_and_says_so,
    what_a_dead_peer_sent_is_received_though_sending_fails,
    use_after_our_own_close_is_an_error_of_its_own,
    closing_wakes_a_thread_that_receives,
    closing_wakes_a_thread_that_sends,
    failing_makes_both_sides_see_it_and_know_why,
    failing_does_not_wait_for_a_sender_or_a_full_socket,
    a_receive_that_timed_out_loses_nothing,
    a_send_that_never_began_leaves_the_channel_usable,
    a_send_that_stuck_inside_a_frame_breaks_the_channel,
    garbage_is_a_frame_error_for_good,
    frames_before_garbage_are_not_lost_and_the_selector_sees_the_rest,
    an_oversized_frame_is_refused_by_both_sides,
    a_doubled_frame_is_delivered_once,
    a_frame_that_was_overtaken_is_delivered_in_its_place,
    a_delay_holds_up_what_comes_behind_but_not_the_sender,
    what_a_bad_wire_kept_goes_out_before_the_goodbye,
    a_lost_frame_breaks_the_channel_both_ways,
    a_lost_frame_is_seen_though_others_keep_coming,
    a_lost_last_frame_is_seen_when_the_sender_says_how_many_it_sent,
    an_event_loop_hears_of_a_lost_frame,
    a_goodbye_behind_a_lost_frame_is_no_clean_end,
    any_garbled_byte_of_a_frame_breaks_the_channel,
    a_frame_that_was_never_sent_leaves_no_gap,
    an_announcement_is_made_once_and_is_no_frame_to_the_reader,
    what_was_lost_is_sent_again,
    what_was_garbled_is_sent_again_unless_it_is_its_head,
    what_comes_again_is_delivered_once,
    nothing_is_sent_again_without_end,
    what_stays_lost_breaks_also_a_channel_that_resends,
    a_buffered_side_never_waits_for_its_peer,
    a_buffered_side_tells_of_every_new_backlog,
    a_buffered_side_closes_with_its_backlog_sent,
    a_buffered_side_closes_though_its_peer_is_stopped,
    a_backlog_for_a_dead_peer_is_dropped_with_an_error,
)
