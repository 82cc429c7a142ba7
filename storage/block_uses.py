"""Which blocks a process used of late: what `DropUnusedBlocks` asks of every process before anything is dropped.

Nothing is noted where nobody will ask. Does not date the uses: the master does (`storage.idle_blocks`).
"""

from __future__ import annotations

from storage.block_id import BlockId


class BlockUses:
    """Which blocks this process used since it was last asked.

    Thread-safe. ``wanted``: whether somebody takes the notes, which would grow for ever otherwise.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._noted: set[BlockId] = set()

    def note(self, block_id: BlockId) -> None:
        if self.wanted:
            self._noted.add(block_id)

    def take(self) -> tuple[BlockId, ...]:
        """The blocks used since the last call."""
        taken = tuple(self._noted)  # one step for other threads, which go on noting
        self._noted.difference_update(taken)
        return taken
