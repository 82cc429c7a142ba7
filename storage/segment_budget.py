"""Whose shared-memory segments there are, and whether one more fits the machine's budget.

Covers the master's half: granting before a segment is made, and knowing what a dead process left. Making segments is
the arena's business. A segment of a file-backed fall-back arena is listed with 0 bytes: it takes no shared memory.
"""

from __future__ import annotations


class SegmentBudget:
    """The shared memory that the segments of a run may take together.

    Not thread-safe: it belongs to the master endpoint. `limit` is in bytes, for all processes together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0  # bytes
        self._segments: dict[str, tuple[str, int]] = {}  # {path: (executor id of the owner, bytes)}

    def reserve(self, path: str, owner: str, size: int) -> bool:
        """Whether the segment may be made; then its bytes are taken until `give_back`. Asking twice changes nothing."""
        if path in self._segments:
            return True
        if self.used + size > self.limit:
            return False
        self._segments[path] = (owner, size)
        self.used += size
        return True

    def give_back(self, path: str) -> None:
        """The segment is gone. Nothing happens for a file that is no segment."""
        _, size = self._segments.pop(path, ("", 0))
        self.used -= size

    def owned_by(self, executor_id: str) -> list[str]:
        """Paths of the segments that this process made and did not give back."""
        return [path for path, (owner, _) in self._segments.items() if owner == executor_id]

    def __len__(self) -> int:
        return len(self._segments)

    def check(self) -> None:
        """Audit the sum. Raises AssertionError."""
        assert self.used == sum(size for _, size in self._segments.values()), "segments and bytes in use disagree"
        assert self.used <= self.limit, f"{self.used} bytes of shared memory are in use, {self.limit} are allowed"
