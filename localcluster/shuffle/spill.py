"""Spilling to disk while records are gathered: the estimate that says when, and the file that holds the parts.

Used by both sides of a shuffle. Follows the idea of Spark's ``Spillable`` and ``DiskBlockObjectWriter``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from storage import os_layer, serializer
from storage.block_manager import BlockManager
from storage.block_store import BytesLike
from storage.managed_buffer import FileSegmentBuffer
from storage.size_estimator import estimate

SAMPLE_EVERY = 1024  # records


class SizeGauge:
    """Mean size of the records seen, from a sample of them. Estimates in bytes."""

    def __init__(self) -> None:
        self._sampled = 0
        self._bytes = 0

    def sample(self, record: Any) -> None:
        self._sampled += 1
        self._bytes += estimate(record)

    def size_of(self, count: int) -> int:
        """Bytes that ``count`` records take."""
        return count * self._bytes // self._sampled if self._sampled else 0


class SpillFile:
    """Parts of serialised records, written once in order and read back part by part. Its owner removes it."""

    def __init__(self, blocks: BlockManager, parts: Iterable[Iterable[BytesLike]]) -> None:
        """Raises OSError when the disk is full; no file is left then."""
        _, self.path = blocks.disk_block_manager.create_temp_shuffle_block()
        self._offsets = [0]
        fd = os_layer.create(self.path)
        try:
            for part in parts:
                size = sum(os_layer.write_all(fd, chunk) for chunk in part)
                self._offsets.append(self._offsets[-1] + size)
        except BaseException:
            os_layer.unlink(self.path)
            raise
        finally:
            os_layer.close(fd)

    def part(self, number: int) -> memoryview:
        """The serialised bytes of a part; empty when it has no records."""
        start, end = self._offsets[number : number + 2]
        return FileSegmentBuffer(self.path, start, end - start).memoryview()

    def records(self, number: int) -> Iterator[Any]:
        return serializer.deserialize(self.part(number), copy=True)

    def remove(self) -> None:
        os_layer.unlink(self.path)
