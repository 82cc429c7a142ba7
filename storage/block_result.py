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
        self._release = None if release is None else _Once(release)
        # Not a method of this object: the cycle would keep the views of a result that is dropped half-read.
        self.values = values if self._release is None else _until_exhausted(values, self._release)

    def close(self) -> None:
        """Let the block's lock go. May be called again."""
        if self._release is not None:
            self._release()


class _Once:
    """Calls `action` at the first call only."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


def _until_exhausted(values: Iterator[Any], release: _Once) -> Iterator[Any]:
    yield from values  # at the speed of the list's own iterator
    release()
