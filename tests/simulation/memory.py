"""The machine's memory and disk: segments and files, which outlive the processes that wrote them.

An extent that its owner uses again has other bytes from then on, whoever still reads it: so a lease that was forgotten
shows as a wrong answer. What was unlinked cannot be found any more.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from protocol.errors import StaleLocationError
from protocol.locations import FileLocation, SharedLocation, ShmLocation

EXTENT = 64  # bytes; all are of one size
EXTENTS = 4  # in a segment
SEGMENT = 2 << 20  # bytes that one takes of the budget, which has room for eight


class Memory:
    """``{path: {offset: value}}``. Values are compared by identity."""

    def __init__(self) -> None:
        self.files: dict[str, dict[int, Any]] = {}
        self._numbers = count()

    def path(self, owner: str, kind: str) -> str:
        """A name that nothing ever had."""
        return f"/{kind}/{owner}-{next(self._numbers)}"

    def write(self, location: SharedLocation, value: Any) -> None:
        self.files.setdefault(location.path, {})[location.offset] = value

    def read(self, location: SharedLocation) -> Any:
        """Raises StaleLocationError."""
        try:
            return self.files[location.path][location.offset]
        except KeyError:
            raise StaleLocationError(f"{location} is gone") from None

    def exists(self, path: str) -> bool:
        return path in self.files

    def has(self, location: SharedLocation) -> bool:
        """Whether bytes are there."""
        return location.offset in self.files.get(location.path, ())

    def unlink(self, path: str) -> bool:
        return self.files.pop(path, None) is not None


class Arena:
    """One process's segments: which extents are free, and which are given up and still read by others.

    A free extent is used again at once, the latest first, so that who still reads it sees that.
    """

    def __init__(self, memory: Memory, owner: str) -> None:
        self._memory = memory
        self._owner = owner
        self._free: list[ShmLocation] = []
        self.limbo: set[ShmLocation] = set()
        self._early: set[ShmLocation] = set()  # released before it was given up: the messages travel in different pipes
        self.used: set[ShmLocation] = set()
        self.segments: set[str] = set()

    @property
    def is_full(self) -> bool:
        """A segment whose file somebody removed has no room: others would not find what is there."""
        while self._free and not self._memory.exists(self._free[-1].segment):
            self._free.pop()
        return not self._free

    def new_segment(self) -> str:
        """A name for one more; the master has to allow it before `add`."""
        return self._memory.path(self._owner, "shm")

    def add(self, path: str) -> None:
        self.segments.add(path)
        self._memory.files[path] = {}
        self._free += [ShmLocation(path, number * EXTENT, EXTENT) for number in range(EXTENTS)]

    def write(self, value: Any) -> ShmLocation:
        """Precondition: it is not full."""
        location = self._free.pop()
        self.used.add(location)
        self._memory.write(location, value)
        return location

    def free(self, location: ShmLocation) -> None:
        self.used.remove(location)
        self._free.append(location)

    def retire(self, location: ShmLocation) -> None:
        """Given up; it is free when the master says that nobody reads it."""
        self.used.remove(location)
        if location in self._early:
            self._early.remove(location)
            self._free.append(location)
        else:
            self.limbo.add(location)

    def released(self, location: ShmLocation) -> None:
        if location in self.limbo:
            self.limbo.remove(location)
            self._free.append(location)
        elif location in self.used:
            self._early.add(location)

    def unlink(self) -> None:
        for path in self.segments:
            self._memory.unlink(path)


def file_location(path: str) -> FileLocation:
    return FileLocation(path, 0, EXTENT)
