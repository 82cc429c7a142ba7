"""The hook of an endpoint sees every message once per side, in order, and may lose, delay or break it, or
say what a bad wire does to it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from protocol import inbound
from protocol.bad_wire import DOUBLED, LOST, OVERTAKEN, Fate
from protocol.channel import Channel
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import AskTimeoutError, BrokenChannelError, FrameError, RemoteAskError
from protocol.hook import Hook, Passing, Way
from protocol.wire import Kind
from tests.protocol.support import LONG, SHORT, wait_readable
from tests.support import InThread


class Ends:
    """Two endpoints, and what the hooks of both have seen."""

    def __init__(self) -> None:
        self.asks, self.answers = (
            Endpoint(Channel(end, name=name))
            for end, name in zip(socket.socketpair(), ("asks", "answers"), strict=True)
        )
        self.seen: list[tuple[str, Way, Kind, Any]] = []
        self.correlations: set[int] = set()
        self.asks.hook = self.answers.hook = self.note

    def note(self, passing: Passing) -> None:
        self.seen.append((passing.channel, passing.way, passing.kind, passing.message))
        self.correlations.add(passing.correlation)

    def ask(self, message: str) -> Future[Any]:
        """Asked, and here: the answering side has it to receive."""
        future = self.asks.ask_async(message, LONG)
        wait_readable(self.answers)
        return future

    def expire(self) -> None:
        self.asks.expire(time.monotonic() + 2 * LONG)


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "GAP_PATIENCE", SHORT)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.asks.abort()
    ends.answers.abort()


def losing(way: Way, *messages: Any) -> Hook:
    return lambda passing: passing.way is way and passing.message in messages


def breaking(way: Way, message: Any, error: BaseException) -> Hook:
    def hook(passing: Passing) -> None:
        if passing.way is way and passing.message == message:
            raise error

    return hook


def test_messages_are_seen_in_order_before_they_are_sent_and_after_they_arrived(ends: Ends) -> None:
    ends.asks.tell("one", "two")
    future = ends.ask("three")
    received = [ends.answers.receive(LONG) for _ in range(3)]
    assert received[2].reply is not None
    received[2].reply("four")
    wait_readable(ends.asks)
    ends.asks.receive_ready()
    assert future.result(0) == "four"
    out = [(Kind.TELL, "one"), (Kind.TELL, "two"), (Kind.ASK, "three"), (Kind.REPLY, "four")]
    assert [seen[2:] for seen in ends.seen if seen[1] is Way.OUT] == out
    assert [seen[2:] for seen in ends.seen if seen[1] is Way.IN] == out
    assert ends.seen[-2:] == [("answers", Way.OUT, *out[-1]), ("asks", Way.IN, *out[-1])]
    assert ends.correlations == {0, 1}


def test_an_error_is_seen_as_its_text_and_what_was_pickled(ends: Ends) -> None:
    future = ends.ask("what?")
    _, reply = ends.answers.receive(LONG)
    assert reply is not None
    reply.error(KeyError("no"))
    wait_readable(ends.asks)
    ends.asks.receive_ready()
    assert isinstance(future.exception(0), RemoteAskError)
    (_, _, sent_kind, sent), (_, _, kind, value) = ends.seen[-2:]
    assert (sent_kind, kind) == (Kind.ERROR, Kind.ERROR)
    assert sent == value
    assert "KeyError" in value[0]


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("ready", [False, True])
def test_a_lost_message_takes_no_other_with_it(ends: Ends, way: Way, ready: bool) -> None:
    ends.asks.hook = ends.answers.hook = losing(way, "two", "alone")
    ends.asks.tell("alone")
    ends.asks.tell("one", "two", "three")
    ends.asks.tell("four")
    if ready:
        wait_readable(ends.answers)
        received = ends.answers.receive_ready()
    else:
        received = [ends.answers.receive(LONG) for _ in range(3)]
    assert received == [Incoming("one"), Incoming("three"), Incoming("four")]
    assert ends.asks.channel.statistics().frames_sent == (2 if way is Way.OUT else 3)


@pytest.mark.parametrize("way", Way)
def test_a_lost_ask_ends_by_its_deadline(ends: Ends, way: Way) -> None:
    ends.asks.hook = ends.answers.hook = losing(way, "lost")
    with pytest.raises(AskTimeoutError):
        ends.asks.ask("lost", SHORT)
    future = ends.asks.ask_async("lost", LONG)
    ends.expire()
    assert isinstance(future.exception(0), AskTimeoutError)


@pytest.mark.parametrize("way", Way)
def test_a_lost_answer_is_one_that_did_not_come(ends: Ends, way: Way) -> None:
    ends.asks.hook = ends.answers.hook = losing(way, "lost answer")
    lost = ends.ask("first")
    kept = ends.ask("second")
    for message, reply in [ends.answers.receive(LONG) for _ in range(2)]:
        assert reply is not None
        reply("lost answer" if message == "first" else "answer")
    wait_readable(ends.asks)
    ends.asks.receive_ready()
    assert kept.result(0) == "answer"
    assert not lost.done()
    ends.expire()
    assert isinstance(lost.exception(0), AskTimeoutError)


def test_what_the_hook_of_a_sender_raises_the_sender_raises_and_nothing_is_sent(ends: Ends) -> None:
    ends.asks.hook = breaking(Way.OUT, "bad", ZeroDivisionError())
    for send in (
        lambda: ends.asks.tell("good", "bad"),
        lambda: ends.asks.ask("bad", LONG),
        lambda: ends.asks.ask_async("bad", LONG),
    ):
        with pytest.raises(ZeroDivisionError):
            send()
    assert ends.asks.channel.statistics().frames_sent == 0
    ends.asks.tell("good")
    assert ends.answers.receive(LONG) == Incoming("good")


def test_a_reply_that_the_hook_breaks_is_the_answerers_error(ends: Ends) -> None:
    future = ends.ask("what?")
    ends.answers.hook = breaking(Way.OUT, "bad", BrokenChannelError("cut"))
    _, reply = ends.answers.receive(LONG)
    assert reply is not None
    with pytest.raises(BrokenChannelError, match="cut"):
        reply("bad")
    assert not future.done()


@pytest.mark.parametrize("ready", [False, True])
def test_a_channel_breaks_on_arrival_behind_the_messages_before(ends: Ends, ready: bool) -> None:
    ends.answers.hook = breaking(Way.IN, "bad", BrokenChannelError("cut"))
    ends.asks.tell("good", "bad", "late")
    wait_readable(ends.answers)
    if ready:
        assert ends.answers.receive_ready() == [Incoming("good")]
        wait_readable(ends.answers)
        with pytest.raises(BrokenChannelError, match="cut"):
            ends.answers.receive_ready()
    else:
        assert ends.answers.receive(LONG) == Incoming("good")
        with pytest.raises(BrokenChannelError, match="cut"):
            ends.answers.receive(LONG)
    with pytest.raises(BrokenChannelError):  # the peer has seen it, too
        ends.asks.receive(LONG)


def test_an_answer_that_breaks_the_channel_fails_every_ask(ends: Ends) -> None:
    first, second = ends.ask("first"), ends.ask("second")
    ends.asks.hook = breaking(Way.IN, "bad", BrokenChannelError("cut"))
    _, reply = ends.answers.receive(LONG)
    assert reply is not None
    reply("bad")
    wait_readable(ends.asks)
    with pytest.raises(BrokenChannelError, match="cut"):
        ends.asks.receive_ready()
    assert all(isinstance(future.exception(0), BrokenChannelError) for future in (first, second))


def test_a_hook_that_waits_holds_up_what_comes_behind(ends: Ends) -> None:
    go = Future[None]()
    ends.answers.hook = lambda passing: go.result(LONG) if passing.message == "slow" else None
    ends.asks.tell("slow")
    ends.asks.tell("quick")
    reader = InThread(lambda: [ends.answers.receive(LONG).message for _ in range(2)])
    go.set_result(None)
    assert reader.outcome() == ["slow", "quick"]


def befalls(fate: Fate, message: Any) -> Hook:
    return lambda passing: fate if passing.way is Way.OUT and passing.message == message else None


@pytest.mark.parametrize("fate", [DOUBLED, OVERTAKEN])
def test_a_bad_wire_that_loses_nothing_is_not_noticed(ends: Ends, fate: Fate) -> None:
    ends.asks.hook = befalls(fate, "two")
    ends.asks.tell("one", "two", "three")
    ends.asks.tell("four")
    assert [ends.answers.receive(LONG).message for _ in range(4)] == ["one", "two", "three", "four"]
    ends.asks.hook, ends.answers.hook = befalls(fate, "question"), befalls(fate, "answer")
    future = ends.asks.ask_async("question", LONG)
    ends.asks.tell("five")
    _, reply = ends.answers.receive(LONG)
    assert reply is not None
    reply("answer")
    ends.answers.tell("six")
    assert ends.answers.receive(LONG) == Incoming("five")
    assert ends.asks.receive(LONG) == Incoming("six")
    assert future.result(0) == "answer"


@pytest.mark.parametrize("fate", [LOST, Fate(garbled=7)])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_a_bad_wire_loses_or_garbles_breaks_the_channel(ends: Ends, fate: Fate, position: int) -> None:
    messages = ("one", "two", "three")
    ends.asks.hook = befalls(fate, messages[position])
    ends.asks.tell(*messages)
    ends.asks.channel.announce(1.0)
    assert [ends.answers.receive(LONG).message for _ in range(position)] == list(messages[:position])
    with pytest.raises(FrameError):
        ends.answers.receive(LONG)
    with pytest.raises(FrameError, match="the peer gave up"):
        ends.asks.receive(LONG)


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_an_ask_does_not_wait_for_its_deadline_when_the_wire_lost_it(ends: Ends, lost: str) -> None:
    """Each side keeps its own time: the asker while it waits, the answerer in the rounds of its loop."""
    ends.asks.hook = ends.answers.hook = befalls(LOST, lost)
    asker = InThread(lambda: ends.asks.ask("question", 100 * LONG))

    def serve() -> None:
        while True:
            ends.answers.expire(time.monotonic())
            for _, reply in ends.answers.receive_ready():
                assert reply is not None
                reply("answer")

    answerer = InThread(serve)
    for end, sees_it in ((asker, lost == "answer"), (answerer, lost == "question")):
        error = end.outcome()
        assert isinstance(error, FrameError)
        assert ("gave up" in str(error)) != sees_it


def test_a_hook_is_told_what_an_answer_answers(ends: Ends) -> None:
    asked: list[str] = []
    ends.asks.hook = ends.answers.hook = lambda passing: asked.append(f"{passing.kind.name} {passing.asked}")
    future = ends.ask("question")
    _, reply = ends.answers.receive(LONG)
    assert reply is not None
    reply(1)
    wait_readable(ends.asks)
    ends.asks.receive_ready()
    assert future.result(0) == 1
    assert asked == ["ASK ", "ASK ", "REPLY str", "REPLY str"]


def test_an_unreadable_answer_is_not_shown_to_the_hook(ends: Ends) -> None:
    future = ends.ask("what?")
    _, reply = ends.answers.receive(LONG)
    assert reply is not None
    reply(Trap())
    before = len(ends.seen)
    wait_readable(ends.asks)
    ends.asks.receive_ready()
    assert isinstance(future.exception(0), RemoteAskError)
    assert len(ends.seen) == before


class Trap:
    """Pickles well and raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return _spring, ()


def _spring() -> None:
    raise RuntimeError("the trap sprang")
