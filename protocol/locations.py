"""Where a block's bytes are, and who is who: values that travel inside messages.

A location is data: whoever has one maps the bytes itself when they lie in shared memory or in a file, and asks the
holder only for bytes on its heap (``docs/architecture.md``, "Locations").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

DRIVER = "driver"
"""Executor id of the driver's own block manager, as in Spark."""


def across_runs(executor_id: str, run: str) -> str:
    """What an executor, or a driver, is called where block managers of several runs share a block master: its own id
    is unique within its run only. ``run`` is the name of the run's scratch space, which no other run ever has.
    """
    return f"{executor_id}@{run}"


@dataclass(frozen=True, slots=True)
class BlockManagerId:
    """One block manager: Spark's ``BlockManagerId(executorId, host, port)``; on one machine the pid takes host's and
    port's place.

    The executor id alone tells it from all others of its block master, so leases, segments and heap locations bear
    that: see `across_runs`.
    """

    executor_id: str
    pid: int

    @property
    def is_driver(self) -> bool:
        return self.executor_id == DRIVER

    def __reduce__(self) -> tuple[type[BlockManagerId], tuple[str, int]]:
        return BlockManagerId, (self.executor_id, self.pid)


@dataclass(frozen=True, slots=True)
class ShmLocation:
    """Bytes in a shared-memory segment. ``segment`` is the path of its file; offset and length are in bytes."""

    segment: str
    offset: int
    length: int

    @property
    def path(self) -> str:
        """As of a `FileLocation`."""
        return self.segment

    def __reduce__(self) -> tuple[type[ShmLocation], tuple[str, int, int]]:
        return ShmLocation, (self.segment, self.offset, self.length)


@dataclass(frozen=True, slots=True)
class FileLocation:
    """Bytes in a file of a local directory; offset and length are in bytes."""

    path: str
    offset: int
    length: int

    def __reduce__(self) -> tuple[type[FileLocation], tuple[str, int, int]]:
        return FileLocation, (self.path, self.offset, self.length)


@dataclass(frozen=True, slots=True)
class HeapLocation:
    """Values or bytes on the heap of one executor: only that process can read them, and they die with it."""

    executor_id: str

    def __reduce__(self) -> tuple[type[HeapLocation], tuple[str]]:
        return HeapLocation, (self.executor_id,)


@dataclass(frozen=True, slots=True)
class ExternalLocation:
    """A block in the program's own store: every process asks that store for it, whoever put it there and died since."""

    def __reduce__(self) -> tuple[type[ExternalLocation], tuple[()]]:
        return ExternalLocation, ()


Location: TypeAlias = ShmLocation | FileLocation | HeapLocation | ExternalLocation
SharedLocation: TypeAlias = ShmLocation | FileLocation
