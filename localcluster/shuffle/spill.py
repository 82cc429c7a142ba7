"""Spilling to disk while records are gathered: the estimate that says when, and the file that holds the parts.

Used by both sides of a shuffle. Follows the idea of Spark's ``Spillable`` and ``DiskBlockObjectWriter``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, Protocol

from storage import os_layer, serializer
from storage.block_id import BlockId
from storage.block_store import BytesLike
from storage.managed_buffer import FileSegmentBuffer
from storage.named_errors import named
from storage.size_estimator import estimate

SAMPLE_EVERY = 1024  # records

disk_bytes_spilled = 0
"""Bytes that this process has written to spill files."""


class Gauge(Protocol):
    """Says when it is time to spill."""

    def sample(self, record: Any) -> None:
        """Look at one of the records that are gathered."""

    def is_full(self, count: int) -> bool:
        """Whether ``count`` records, of which it has seen a sample, are too many."""

    def fresh(self) -> Gauge:
        """One like this for what is gathered from here on."""


class SizeGauge:
    """A `Gauge` that estimates sizes in bytes, from the mean of the records seen."""

    def __init__(self, memory_limit: int) -> None:
        self._limit = memory_limit
        self._sampled = 0
        self._bytes = 0

    def sample(self, record: Any) -> None:
        self._sampled += 1
        self._bytes += estimate(record)

    def size_of(self, count: int) -> int:
        """Bytes that ``count`` records take."""
        return count * self._bytes // self._sampled if self._sampled else 0

    def is_full(self, count: int) -> bool:
        return self.size_of(count) > self._limit

    def fresh(self) -> SizeGauge:
        return SizeGauge(self._limit)


class SpillFile:
    """Parts of serialised records, written once in order and read back part by part. Its owner removes it.

    ``create`` gives a new temporary block and its path: a task's own, or one of a shuffle.
    """

    def __init__(self, create: Callable[[], tuple[BlockId, str]], parts: Iterable[Iterable[BytesLike]]) -> None:
        """Raises OSError, with the path, when the disk is full; no file is left then."""
        global disk_bytes_spilled
        _, self.path = create()
        self._offsets = [0]
        fd = os_layer.create(self.path)
        try:
            try:
                for part in parts:
                    self._offsets.append(self._offsets[-1] + self._write(fd, part))
            finally:
                with named(self.path):
                    os_layer.close(fd)
        except BaseException:
            os_layer.unlink(self.path)
            raise
        disk_bytes_spilled += self._offsets[-1]

    def _write(self, fd: int, part: Iterable[BytesLike]) -> int:
        size = 0
        for chunk in part:
            with named(self.path):  # only here: to produce the chunk may run the user's code
                size += os_layer.write_all(fd, chunk)
        return size

    def part(self, number: int) -> memoryview:
        """The serialised bytes of a part; empty when it has no records."""
        start, end = self._offsets[number : number + 2]
        return FileSegmentBuffer(self.path, start, end - start).memoryview()

    def parts(self) -> list[memoryview]:
        """All parts in one mapping, since each mapping may hold a file descriptor. They outlive `remove`."""
        whole = FileSegmentBuffer(self.path, 0, self._offsets[-1]).memoryview()
        return [whole[start:end] for start, end in pairwise(self._offsets)]

    def records(self, number: int) -> Iterator[Any]:
        return serializer.deserialize_stream(self.part(number))

    def remove(self) -> None:
        os_layer.unlink(self.path)
