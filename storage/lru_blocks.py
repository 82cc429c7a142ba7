"""The blocks of a store that evicts, in the order of their last use, and which of them may go for another block.

Covers the order and Spark's rule that a block never drives out another of its own RDD: caching an RDD that is too
large must not go round in circles. Does not cover sizes, nor which blocks are in use: a store looks at these as it goes
through those that may go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeVar

from storage.block_id import BlockId

T = TypeVar("T")


class LruBlocks(OrderedDict[BlockId, T]):
    """{block: what the store keeps of it}, the least recently used first. To enter a block is a use, to look it up is
    none. Not thread-safe.
    """

    def use(self, block_id: BlockId) -> T | None:
        """What is kept of a block that is read now; None when it is not here."""
        kept = self.get(block_id)
        if kept is not None:
            self.move_to_end(block_id)
        return kept

    def may_go_for(self, block_id: BlockId) -> Iterator[tuple[BlockId, T]]:
        """Those that may make room for a block, the least recently used first."""
        rdd = block_id.of_rdd
        for other, kept in self.items():
            if rdd is None or other.of_rdd != rdd:
                yield other, kept
