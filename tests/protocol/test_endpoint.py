"""Asking and telling: answers find their asker, errors travel, nobody waits for what cannot come."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from protocol.channel import Channel
from protocol.endpoint import BATCH_SIZE, Endpoint, Incoming
from protocol.error_frames import load_cause
from protocol.errors import (
    AskTimeoutError,
    BrokenChannelError,
    ClosedChannelError,
    EndOfChannel,
    FrameError,
    FrameTooLargeError,
    RemoteAskError,
    SerializationError,
)
from protocol.wire import Frame, Kind, dumps, encode
from tests.protocol.support import LONG, SHORT, wait_readable
from tests.support import InThread


@contextmanager
def endpoints(**options: Any) -> Iterator[tuple[Endpoint, Endpoint]]:
    """The side that asks and the side that answers; the options are for the channels of both."""
    asks, answers = (
        Endpoint(Channel(end, name=name, **options))
        for end, name in zip(socket.socketpair(), ("asks", "answers"), strict=True)
    )
    try:
        yield asks, answers
    finally:
        asks.abort()
        answers.abort()


def answer(endpoint: Endpoint, count: int) -> InThread:
    """In a thread: answer that many asks with their message doubled."""

    def serve() -> None:
        for _ in range(count):
            message, reply = endpoint.receive(LONG)
            assert reply is not None
            reply(message * 2)

    return InThread(serve)


def test_telling_a_peer_that_takes_nothing_has_a_deadline() -> None:
    with endpoints() as (asks, answers):

        def tell_on_and_on() -> None:
            while True:
                asks.tell(bytes(50_000), timeout=SHORT)

        with pytest.raises((AskTimeoutError, BrokenChannelError), match=r"takes nothing|stopped reading"):
            tell_on_and_on()
        assert answers.receive(LONG).message == bytes(50_000)  # what was taken as a whole arrives


class Trap:
    """Pickles well and raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return _spring, ()


def _spring() -> None:
    raise RuntimeError("the trap sprang")


# --- telling ---


def test_messages_told_arrive_in_order_without_a_way_to_reply() -> None:
    with endpoints() as (asks, answers):
        asks.tell("one")
        asks.tell("two", "three")
        asks.tell()
        assert [answers.receive(LONG) for _ in range(3)] == [Incoming("one"), Incoming("two"), Incoming("three")]
        assert asks.channel.statistics().frames_sent == 2


def test_the_side_that_answers_may_tell_too() -> None:
    with endpoints() as (asks, answers):
        answers.tell("news")
        assert asks.receive(LONG) == Incoming("news")


def test_a_batch_is_split_where_a_frame_would_grow_large() -> None:
    with endpoints(buffered=True) as (asks, answers):
        messages = [bytes([number]) * (BATCH_SIZE // 4) for number in range(10)]
        asks.tell(*messages)
        received: list[Any] = []
        while len(received) < len(messages):
            asks.flush()
            wait_readable(answers)
            received += [incoming.message for incoming in answers.receive_ready()]
        assert received == messages
        assert answers.channel.statistics().frames_received == 4


def test_an_unpicklable_message_is_named_and_nothing_of_the_batch_is_sent() -> None:
    with endpoints(max_frame=5000) as (asks, answers):
        with pytest.raises(SerializationError, match="lock"):
            asks.tell("fine", threading.Lock())
        with pytest.raises(SerializationError, match="lock"):
            asks.ask(threading.Lock(), LONG)
        with pytest.raises(FrameTooLargeError):
            asks.tell(b"x" * 10_000)
        asks.tell("next")
        assert answers.receive(LONG) == Incoming("next")


# --- asking, from threads ---


def test_an_ask_is_answered() -> None:
    with endpoints() as (asks, answers):
        server = answer(answers, 2)
        assert asks.ask("ab", LONG) == "abab"
        assert asks.ask(21, LONG) == 42
        assert server.outcome() is None


def test_asks_of_many_threads_get_each_its_own_answer() -> None:
    threads, rounds = 8, 50
    with endpoints() as (asks, answers):
        server = answer(answers, threads * rounds)
        askers = [
            InThread(lambda n=number: [asks.ask(f"{n}/{turn}", LONG) for turn in range(rounds)])
            for number in range(threads)
        ]
        for number, asker in enumerate(askers):
            assert asker.outcome() == [f"{number}/{turn}" * 2 for turn in range(rounds)]
        assert server.outcome() is None


def test_answers_may_come_in_any_order() -> None:
    with endpoints() as (asks, answers):
        askers = [InThread(lambda n=number: asks.ask(n, LONG)) for number in range(5)]
        incoming = [answers.receive(LONG) for _ in askers]
        for message, reply in sorted(incoming, key=lambda item: -item.message):
            assert reply is not None
            reply(message + 100)
        assert [asker.outcome() for asker in askers] == [100, 101, 102, 103, 104]


def test_a_reader_that_has_its_answer_leaves_the_reading_to_one_that_waits() -> None:
    with endpoints() as (asks, answers):
        first = InThread(lambda: asks.ask("first", LONG))
        reply_first = answers.receive(LONG).reply
        second = InThread(lambda: asks.ask("second", LONG))
        reply_second = answers.receive(LONG).reply
        assert reply_first is not None
        assert reply_second is not None
        reply_first(1)
        assert first.outcome() == 1
        reply_second(2)
        assert second.outcome() == 2


def test_an_unanswered_ask_ends_at_its_deadline_and_its_late_answer_is_dropped() -> None:
    with endpoints() as (asks, answers):
        with pytest.raises(AskTimeoutError, match=f"str: no answer within {SHORT} s from asks"):
            asks.ask("slow", SHORT)
        late = answers.receive(LONG).reply
        assert late is not None
        late("stale")
        server = answer(answers, 1)
        assert asks.ask("x", LONG) == "xx"
        assert server.outcome() is None


def test_a_thread_that_waits_for_the_reader_keeps_its_own_deadline() -> None:
    with endpoints() as (asks, answers):
        reader = InThread(lambda: asks.ask("reads for all", LONG))
        reply = answers.receive(LONG).reply
        with pytest.raises(AskTimeoutError):
            asks.ask("waits", SHORT)
        assert reply is not None
        reply("done")
        assert reader.outcome() == "done"


def test_every_asker_learns_that_the_peer_died() -> None:
    with endpoints() as (asks, answers):
        askers = [InThread(lambda n=number: asks.ask(n, LONG)) for number in range(4)]
        for _ in askers:
            answers.receive(LONG)
        answers.abort()
        assert [type(asker.outcome()) for asker in askers] == [BrokenChannelError] * 4
        with pytest.raises(BrokenChannelError):
            asks.ask("afterwards", LONG)


def test_closing_ends_the_asks_of_this_side() -> None:
    with endpoints() as (asks, answers):
        askers = [InThread(lambda n=number: asks.ask(n, LONG)) for number in range(3)]
        for _ in askers:
            answers.receive(LONG)
        asks.close()
        assert [type(asker.outcome()) for asker in askers] == [ClosedChannelError] * 3
        with pytest.raises(EndOfChannel):
            answers.receive(LONG)


def test_a_message_told_to_a_thread_that_asks_is_a_protocol_error() -> None:
    with endpoints() as (asks, answers):
        answers.tell("unasked")
        with pytest.raises(FrameError, match="TELL frame on the side that asks"):
            asks.ask("x", LONG)


# --- asking, from an event loop ---


def test_futures_end_while_the_event_loop_receives() -> None:
    with endpoints(buffered=True) as (asks, answers):
        futures = [asks.ask_async(number, LONG) for number in range(3)]
        wait_readable(answers)
        for message, reply in answers.receive_ready():
            assert reply is not None
            reply(message + 10)
        wait_readable(asks)
        assert asks.receive_ready() == []
        assert [future.result(0) for future in futures] == [10, 11, 12]
        assert not futures[0].cancel()


def test_only_overdue_futures_expire_and_their_late_answers_are_dropped() -> None:
    with endpoints(buffered=True) as (asks, answers):
        soon, later = asks.ask_async("soon", 10), asks.ask_async("later", 1000)
        asks.expire(time.monotonic() + 100)
        with pytest.raises(AskTimeoutError):
            soon.result(0)
        wait_readable(answers)
        for message, reply in answers.receive_ready():
            assert reply is not None
            reply(message)
        wait_readable(asks)
        asks.receive_ready()
        assert later.result(0) == "later"


def test_futures_fail_with_the_channel() -> None:
    with endpoints(buffered=True) as (asks, answers):
        future = asks.ask_async("x", LONG)
        answers.abort()
        wait_readable(asks)
        with pytest.raises(BrokenChannelError):
            asks.receive_ready()
        with pytest.raises(BrokenChannelError):
            future.result(0)
        with pytest.raises(BrokenChannelError):
            asks.ask_async("y", LONG)


def test_futures_fail_when_the_executor_is_declared_lost() -> None:
    with endpoints(buffered=True) as (asks, _):
        future = asks.ask_async("x", LONG)
        asks.fail_pending(BrokenChannelError("executor 3 is lost"))
        with pytest.raises(BrokenChannelError, match="executor 3 is lost"):
            future.result(0)


# --- errors that travel ---


def ask_and_fail(error: BaseException) -> RemoteAskError:
    with endpoints() as (asks, answers):
        asker = InThread(lambda: asks.ask("x", LONG))
        reply = answers.receive(LONG).reply
        assert reply is not None
        try:
            raise error
        except type(error) as raised:
            reply.error(raised)
        result = asker.outcome()
    assert isinstance(result, RemoteAskError)
    return result


unpickled: list[str] = []


class NotesUnpickling(Exception):
    def __reduce__(self) -> Any:
        return _note_unpickling, (str(self),)


def _note_unpickling(text: str) -> Exception:
    unpickled.append(text)
    return ValueError(text)


def test_an_event_loop_leaves_a_handlers_exception_pickled() -> None:
    unpickled.clear()
    with endpoints(buffered=True) as (asks, answers):
        future = asks.ask_async("x", LONG)
        reply = answers.receive(LONG).reply
        assert reply is not None
        reply.error(NotesUnpickling("boom"))
        wait_readable(asks)
        asks.receive_ready()
        error = future.exception(0)
    assert isinstance(error, RemoteAskError)
    assert (unpickled, error.__cause__) == ([], None)
    load_cause(error)
    assert unpickled == ["boom"]
    assert isinstance(error.__cause__, ValueError)


class NeedsTwo(Exception):
    """Pickles, but cannot be made again from its args."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def test_the_handler_s_exception_is_the_cause_and_its_traceback_the_text() -> None:
    error = ask_and_fail(ValueError("boom"))
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.args == ("boom",)
    assert "str failed at the peer" in str(error)
    assert "ask_and_fail" in str(error)


class Leaves(Exception):
    """Would end the process that pickles it or shows it."""

    def __reduce__(self) -> Any:
        raise SystemExit(3)

    @property
    def __notes__(self) -> Any:
        raise SystemExit(4)


@pytest.mark.parametrize("error", [NeedsTwo("lost in", "pickling"), ValueError("has a", threading.Lock()), Leaves()])
def test_an_exception_that_cannot_travel_arrives_as_its_text(error: Exception) -> None:
    received = ask_and_fail(error)
    assert received.__cause__ is None
    assert type(error).__name__ in str(received)


@pytest.mark.parametrize("value", [threading.Lock(), b"x" * 10_000], ids=["unpicklable", "too large"])
def test_an_answer_that_cannot_be_sent_is_an_error_for_the_asker(value: Any) -> None:
    with endpoints(max_frame=5000) as (asks, answers):
        asker = InThread(lambda: asks.ask("x", LONG))
        reply = answers.receive(LONG).reply
        assert reply is not None
        reply(value)
        assert isinstance(asker.outcome(), RemoteAskError)


def test_an_answer_that_cannot_be_unpickled_is_an_error_for_that_ask_alone() -> None:
    with endpoints() as (asks, answers):
        asker = InThread(lambda: asks.ask("x", LONG))
        reply = answers.receive(LONG).reply
        assert reply is not None
        reply(Trap())
        error = asker.outcome()
        assert isinstance(error, RemoteAskError)
        assert "the trap sprang" in str(error)
        server = answer(answers, 1)
        assert asks.ask("y", LONG) == "yy"
        assert server.outcome() is None


def test_an_ask_that_cannot_be_unpickled_fails_for_its_asker_alone() -> None:
    with endpoints() as (asks, answers):
        server = answer(answers, 1)
        with pytest.raises(RemoteAskError, match="the trap sprang"):
            asks.ask(Trap(), LONG)
        assert asks.ask("y", LONG) == "yy"
        assert server.outcome() is None


def test_a_told_message_that_cannot_be_unpickled_ends_the_channel_after_what_came_before() -> None:
    with endpoints() as (asks, answers):
        asks.tell("fine")
        asks.tell(Trap())
        asks.tell("never seen")
        wait_readable(answers)
        assert answers.receive_ready() == [Incoming("fine")]
        wait_readable(answers)
        for _ in range(2):
            with pytest.raises(FrameError, match=r"answers: TELL frame: .*the trap sprang"):
                answers.receive_ready()
        with pytest.raises(FrameError, match=r"the peer gave up: .*the trap sprang"):
            asks.receive(LONG)


@pytest.mark.parametrize(
    "payload", [b"", b"garbage", pickle.dumps(1), pickle.dumps(("text", b"garbage")), pickle.dumps(("text", None))]
)
@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.BATCH, Kind.REPLY])
def test_a_well_framed_payload_of_the_wrong_shape_stays_within_the_error_family(kind: Kind, payload: bytes) -> None:
    with endpoints() as (asks, answers):
        os.write(answers.fileno(), encode((Frame(kind, 1, payload),)))
        future = asks.ask_async("x", LONG)
        wait_readable(asks)
        try:
            asks.receive_ready()
        except FrameError:
            assert kind is Kind.BATCH
        if kind is Kind.ERROR:
            assert isinstance(future.exception(0), RemoteAskError)


def test_an_answer_nobody_waits_for_is_dropped() -> None:
    with endpoints() as (asks, answers):
        os.write(answers.fileno(), encode((Frame(Kind.REPLY, 99, dumps("?")), Frame(Kind.TELL, 0, dumps("next")))))
        assert asks.receive(LONG) == Incoming("next")
