"""How long blocks have been idle: the master's part of ``spark.cleaner.ttl``.

Covers which blocks have an age at all and when each was last heard to be in use. A use is dated by the look that hears
of it, so a block lives longer than its time by at most the time between two looks, and never shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from storage.block_id import BlockId, BroadcastBlockId


def has_age(block_id: BlockId) -> bool:
    """Whether a block may be dropped since nobody uses it: cached and received data and the program's broadcasts.

    All else belongs to an object or a job and goes with that: map outputs, whose readers hold no lease; task results;
    what the runtime broadcasts, stages' code say, which has a field in its name.
    """
    if isinstance(block_id, BroadcastBlockId):
        return not block_id.field
    return block_id.is_cached_data


class IdleBlocks:
    """When each block was last used, by any process. Not thread-safe: it belongs to the master endpoint."""

    def __init__(self) -> None:
        self._in_use: dict[BlockId, float] = {}  # {block: seconds on the master's clock when last heard to be in use}

    def look(
        self, block_ids: Iterable[BlockId], in_use: Callable[[BlockId], bool], now: float, ttl: float
    ) -> list[BlockId]:
        """Note at ``now`` which of all blocks are in use; those that have not been for ``ttl`` seconds. A block that is
        seen for the first time is in use.
        """
        before, self._in_use = self._in_use, {}
        idle = []
        for block_id in block_ids:
            seen = now if in_use(block_id) else before.get(block_id, now)
            if now - seen > ttl:
                idle.append(block_id)  # and is forgotten: it may be computed again before the next look
            else:
                self._in_use[block_id] = seen
        return idle
