"""What a read of a block gives: its values, how large it is, and where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any


class ReadMethod(Enum):
    """Spark's ``DataReadMethod``, and shared memory of this process's own."""

    MEMORY = "Memory"
    OFF_HEAP = "OffHeap"
    DISK = "Disk"
    NETWORK = "Network"  # another process's block, mapped or shared by its holder


class BlockResult:
    """Spark's ``BlockResult``. ``size`` is in bytes, estimated for deserialised values.

    A local block stays read-locked, so that it is not evicted for nothing, until ``values`` is exhausted, `close` is
    called or the task ends. Values that were taken stay good in any case. There is no release on garbage collection:
    that may run in the middle of the lock's own critical section.
    """

    __slots__ = ("_release", "read_method", "size", "values")

    def __init__(
        self, values: Iterator[Any], size: int, read_method: ReadMethod, release: Callable[[], None] | None = None
    ) -> None:
        self.size = size
        self.read_method = read_method
        self._release = release
        self.values = values if release is None else self._until_exhausted(values)

    def _until_exhausted(self, values: Iterator[Any]) -> Iterator[Any]:
        yield from values  # at the speed of the list's own iterator
        self.close()

    def close(self) -> None:
        """Let the block's lock go. May be called again."""
        release, self._release = self._release, None
        if release is not None:
            release()
