"""Unrolling: turning an iterator into a block step by step, so that nothing is materialised before it is known to fit.

Covers what a put does before its block is complete: the memory it holds meanwhile, the two forms it unrolls to (a list
of values, serialised bytes), and the iterator that is left when the block turns out not to fit. Follows Spark's
``unrollSafely``, ``PartiallyUnrolledIterator`` and ``PartiallySerializedBlock``. Who grants memory is `memory_store`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from storage.anonymous_pages import AnonymousPages, in_pages
from storage.block_id import BlockId
from storage.block_store import BytesLike
from storage.private_pages import PRIVATE_FROM
from storage.serializer import deserialize_stream, serialize_stream
from storage.size_estimator import SizeTracker

_MAX_STEP = 1024  # records
_FIRST_BATCH = 1  # records; later batches follow the size measured, but 128 first ones may be 128 large arrays


class Reservation:
    """Memory that one put holds until its block is stored, or what is left of it was used.

    ``take(reservation, least, most, unrolling)`` is the store's: it adds that many bytes, at least and at most, or none
    and returns False. `unrolling` says that the block's size is not known yet, so that less may be evicted for it.
    """

    def __init__(self, block_id: BlockId, growth: float, take: Callable[[Reservation, int, int, bool], bool]) -> None:
        self.block_id = block_id
        self.held = 0  # bytes
        self.dropped: list[BlockId] = []  # what was evicted for it
        self.kept = False  # a leftover uses it after the put
        self.thread = threading.get_ident()
        self._growth = growth
        self._take = take

    def begin(self, threshold: int) -> None:
        """Hold what is free of the first `threshold` bytes; small blocks then ask once."""
        self._take(self, 0, threshold, True)

    def grow(self, needed: int) -> bool:
        """Hold at least `needed` bytes to unroll further, if possible `growth` times as much, so as to ask seldom."""
        if needed <= self.held:
            return True
        return self._take(self, needed - self.held, int(needed * self._growth) - self.held, True)

    def cover(self, size: int) -> bool:
        """Hold at least `size` bytes, which is what the whole block needs."""
        missing = size - self.held
        return missing <= 0 or self._take(self, missing, missing, False)


@dataclass(slots=True)
class Unrolled:
    """As much of a block as was unrolled. `complete` False: it did not fit, and the iterator has more values.

    ``pending`` holds the values that were taken from the iterator and are not in ``data``. ``size`` is in bytes.
    """

    data: list[Any] | bytearray | AnonymousPages
    size: int
    complete: bool
    pending: list[Any] = field(default_factory=list)

    def values(self) -> Iterator[Any]:
        """All values taken from the iterator, in order."""
        if isinstance(self.data, list):
            return iter(self.data)
        data = memoryview(self.data) if isinstance(self.data, bytearray) else self.data.view()
        return chain(deserialize_stream(data), self.pending)  # the reader may change arrays


def unroll_values(values: Iterator[Any], reservation: Reservation, threshold: int) -> Unrolled:
    """Collect the values in a list, never many more than the memory held allows for.

    The size is estimated as the list grows. The step to the next look at it is one record at first and never more than
    the memory held has room for at the average size so far, so large records cannot pile up between two looks.
    """
    unrolled: list[Any] = []
    tracker = SizeTracker(unrolled)
    reservation.begin(threshold)
    step = 1
    while True:
        more = list(islice(values, step))
        unrolled += more
        size = tracker.estimate()
        if not reservation.grow(size):
            return Unrolled(unrolled, size, complete=False)
        if len(more) < step:
            return Unrolled(unrolled, size, complete=True)
        room = (reservation.held - size) * len(unrolled) // max(size, 1)
        step = max(1, min(2 * step, room, _MAX_STEP))


def unroll_bytes(values: Iterator[Any], reservation: Reservation, threshold: int) -> Unrolled:
    """Serialise the values into one growing buffer, never larger than the memory held; into pages that can be mapped
    when there are large arrays.
    """
    data: bytearray | AnonymousPages = bytearray()
    whole = 0  # bytes of `data` that are whole batches
    pending: list[Any] = []  # values taken since then

    def taken() -> Iterator[Any]:
        nonlocal whole
        for value in values:
            if len(data) > whole:  # the serializer takes values again: the batch before is all in `data`
                whole = len(data)
                pending.clear()
            pending.append(value)
            yield value

    def sink(chunk: BytesLike) -> None:
        nonlocal data
        size = len(data) + len(chunk)
        if not reservation.grow(size):
            raise _DoesNotFit
        is_array = isinstance(chunk, memoryview)
        if is_array and size >= PRIVATE_FROM and isinstance(data, bytearray):
            data = in_pages(data) or data
        try:
            data.extend(chunk)
        except OSError as error:
            raise _DoesNotFit from error

    reservation.begin(threshold)
    try:
        serialize_stream(taken(), sink, _FIRST_BATCH)
    except _DoesNotFit:
        return Unrolled(_end(data, whole), whole, complete=False, pending=pending)
    return Unrolled(_end(data, len(data)), len(data), complete=True)


def _end(data: bytearray | AnonymousPages, size: int) -> bytearray | AnonymousPages:
    if isinstance(data, bytearray):
        del data[size:]
    else:
        data.seal(size)
    return data


class _DoesNotFit(Exception):
    """A way out of the serializer's loop; nobody else sees it."""


class Leftover(Iterator[Any]):
    """Every value of a put that did not fit: what was unrolled, then the rest.

    Gives the memory back once the unrolled part was passed on, or when it is closed or dropped. `give_back` is called
    once, and possibly by the garbage collector at any point of any thread: it must not take a lock.
    """

    def __init__(self, unrolled: Iterator[Any], rest: Iterator[Any], give_back: Callable[[], object]) -> None:
        self._give_back = weakref.finalize(self, give_back)
        self._give_back.atexit = False
        self._values = chain(unrolled, _nothing_but(self._give_back), rest)

    def __next__(self) -> Any:
        return next(self._values)

    def close(self) -> None:
        """Use no more values."""
        self._values = chain()
        self._give_back()


def _nothing_but(action: Callable[[], object]) -> Iterator[Any]:
    action()
    yield from ()
