"""The driver's event loop: reading, backlogs, ends, waking, rounds and crashes, over real Pipes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.base.event_loop import EventLoop
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.errors import ChannelError, EndOfChannel
from tests.support import DEADLINE

BIG = b"b" * (4 << 20)  # more than a pipe takes


class Looped:
    """A loop, what it told, and pipes into it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.rounds: SimpleQueue[float] = SimpleQueue()
        self.messages: SimpleQueue[Any] = SimpleQueue()
        self.ends: SimpleQueue[ChannelError] = SimpleQueue()
        self.crashes: SimpleQueue[BaseException] = SimpleQueue()
        self.interval = 1000.0  # seconds
        self.on_message: Callable[[Any], None] = self.messages.put
        self.loop = EventLoop(self.lock, self._round, self.crashes.put)
        self.endpoints: list[Endpoint] = []
        self.loop.start()
        self.rounds.get(timeout=DEADLINE)

    def _round(self, now: float) -> float:
        self.rounds.put(now)
        return self.interval

    def connect(self) -> tuple[Endpoint, Endpoint]:
        """The loop's end and the peer's."""
        ours, theirs = Pipe()
        end, peer = Endpoint(Channel(ours, buffered=True)), Endpoint(Channel(theirs))
        self.endpoints += [end, peer]
        with self.lock:
            self.loop.add(end, lambda batch: [self.on_message(i.message) for i in batch], self.ends.put)  # type: ignore[arg-type, return-value]
        self.rounds.get(timeout=DEADLINE)  # adding wakes
        return end, peer

    def close(self) -> None:
        self.loop.stop(DEADLINE)
        for endpoint in self.endpoints:
            endpoint.abort()


@pytest.fixture
def looped() -> Iterator[Looped]:
    looped = Looped()
    yield looped
    looped.close()


def test_messages_arrive_in_order(looped: Looped) -> None:
    _, peer = looped.connect()
    for number in range(100):
        peer.tell(number)
    assert [looped.messages.get(timeout=DEADLINE) for _ in range(100)] == list(range(100))


def test_handlers_run_under_the_lock(looped: Looped) -> None:
    _, peer = looped.connect()
    with looped.lock:
        peer.tell("x")
        looped.loop.wake()
        assert looped.messages.empty()
    assert looped.messages.get(timeout=DEADLINE) == "x"


def test_an_end_is_told_once_and_after_the_last_message(looped: Looped) -> None:
    _, peer = looped.connect()
    peer.tell("last")
    peer.close()
    assert isinstance(looped.ends.get(timeout=DEADLINE), EndOfChannel)
    assert looped.messages.get_nowait() == "last"
    looped.loop.wake()
    looped.rounds.get(timeout=DEADLINE)
    assert looped.ends.empty()
    assert looped.loop.is_alive


def test_an_end_of_one_leaves_the_others(looped: Looped) -> None:
    _, first = looped.connect()
    _, second = looped.connect()
    first.abort()
    looped.ends.get(timeout=DEADLINE)
    second.tell("still here")
    assert looped.messages.get(timeout=DEADLINE) == "still here"


def test_what_stayed_behind_on_a_full_pipe_is_written_when_the_peer_reads(looped: Looped) -> None:
    end, peer = looped.connect()
    end.tell(BIG)
    assert end.wants_write
    assert peer.receive(DEADLINE).message == BIG


def test_a_removed_endpoint_is_not_read_any_more_and_may_be_removed_again(looped: Looped) -> None:
    end, peer = looped.connect()
    with looped.lock:
        looped.loop.remove(end)
        looped.loop.remove(end)
    peer.tell("unread")
    looped.loop.wake()
    looped.rounds.get(timeout=DEADLINE)
    assert looped.messages.empty()
    end.abort()
    with looped.lock:
        looped.loop.remove(end)


def test_an_endpoint_that_a_handler_of_the_same_batch_removed_is_left_alone(looped: Looped) -> None:
    first_end, first = looped.connect()
    second_end, second = looped.connect()
    heard: list[str] = []

    def remove_the_other(message: str) -> None:
        heard.append(message)
        looped.loop.remove(first_end if message == "second" else second_end)
        looped.messages.put(message)

    looped.on_message = remove_the_other
    with looped.lock:  # both are readable when the loop goes on
        first.tell("first")
        second.tell("second")
    looped.messages.get(timeout=DEADLINE)
    looped.loop.wake()
    looped.rounds.get(timeout=DEADLINE)
    assert len(heard) == 1


@pytest.mark.parametrize("threads", [1, 8])
def test_any_thread_can_wake(looped: Looped, threads: int) -> None:
    for _ in range(3):
        workers = [threading.Thread(target=looped.loop.wake) for _ in range(threads)]
        for worker in workers:
            worker.start()
        looped.rounds.get(timeout=DEADLINE)
        for worker in workers:
            worker.join(DEADLINE)


def test_waking_takes_no_lock_and_never_blocks(looped: Looped) -> None:
    with looped.lock:
        for _ in range(100_000):  # more than the pipe takes
            looped.loop.wake()
    looped.rounds.get(timeout=DEADLINE)


def test_waking_a_stopped_loop_writes_nowhere() -> None:
    looped = Looped()
    looped.close()
    read, write = os.pipe()  # gets the numbers that the loop's own pipe had
    os.set_blocking(read, False)
    looped.loop.wake()
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_a_round_says_when_the_next_one_is_due(looped: Looped) -> None:
    looped.interval = 0.001
    looped.loop.wake()
    times = [looped.rounds.get(timeout=DEADLINE) for _ in range(5)]
    assert times == sorted(times)
    assert times[-1] <= time.monotonic()


def test_a_handler_that_raises_ends_the_loop_and_says_why(looped: Looped) -> None:
    def broken(message: Any) -> None:
        raise ZeroDivisionError

    looped.on_message = broken
    _, peer = looped.connect()
    peer.tell("x")
    assert isinstance(looped.crashes.get(timeout=DEADLINE), ZeroDivisionError)
    looped.loop._thread.join(DEADLINE)
    assert not looped.loop.is_alive


def test_a_round_that_raises_ends_the_loop_and_says_why(looped: Looped) -> None:
    looped.interval = "soon"  # type: ignore[assignment]
    looped.loop.wake()
    assert isinstance(looped.crashes.get(timeout=DEADLINE), TypeError)


def test_garbage_on_a_pipe_ends_that_pipe_only(looped: Looped) -> None:
    _, bad = looped.connect()
    _, good = looped.connect()
    os.write(bad.fileno(), b"\xff" * 200)
    looped.ends.get(timeout=DEADLINE)
    good.tell("fine")
    assert looped.messages.get(timeout=DEADLINE) == "fine"
    assert looped.crashes.empty()
