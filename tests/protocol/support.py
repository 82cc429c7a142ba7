"""What the tests of channels and endpoints share: pairs of channels, clogged sockets."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.stream import ConnectionLike
from protocol.wire import Frame, Kind
from tests.support import DEADLINE

MakePair = Callable[[], tuple[ConnectionLike, ConnectionLike]]
LONG = DEADLINE  # seconds; never met unless something hangs
SHORT = 0.05  # seconds; a deadline that is meant to be met
BIG = b"b" * (4 << 20)  # more than any socket buffer takes


@contextmanager
def channels(make_pair: MakePair, **options: Any) -> Iterator[tuple[Channel, Channel]]:
    """Two ends; the options are the first one's, but for ``resends``."""
    left, right = make_pair()
    resends = options.get("resends", False)
    ends = Channel(left, name="left", **options), Channel(right, name="right", resends=resends)
    try:
        yield ends
    finally:
        for end in ends:
            end.abort()


def tell(payload: bytes = b"hello") -> Frame:
    return Frame(Kind.TELL, 0, payload)


def clog(channel: Channel) -> int:
    """Fill the socket behind the channel's back; returns the number of bytes it took."""
    size = 0
    try:
        while True:
            size += os.write(channel.fileno(), b"\0" * 65536)
    except BlockingIOError:
        return size


def drain(channel: Channel, size: int) -> None:
    while size > 0:
        size -= len(os.read(channel.fileno(), min(size, 65536)))
    assert size == 0


def wait_readable(channel: Channel | Endpoint) -> None:
    assert select.select([channel], [], [], LONG)[0], "nothing to read"


def wait_blocked(thread: threading.Thread, lock: Any) -> None:
    """Until the thread holds the lock, as it does while it waits in poll (no event tells: a bounded spin)."""
    for _ in range(10_000_000):
        if lock.locked() or not thread.is_alive():
            return
    raise AssertionError("the thread never started to wait")
