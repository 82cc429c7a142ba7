"""Bytes that travel inline in a message when they are few, else as a block in shared memory.

Covers how many are few, and how they are read. Who makes a block of them names it and removes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from protocol.errors import BlockNotFoundError
from protocol.message import BlockIdLike
from storage.block_id import BlockId

if TYPE_CHECKING:  # the driver imports this before it starts its launcher
    from storage.block_manager import BlockManager
    from storage.block_store import BytesLike

IN_MESSAGE = 48 * 1024  # bytes of a result, a stage's code or a table of map outputs
IN_TASK = 16 * 1024  # bytes of a partition's records: a message carries several tasks

Payload: TypeAlias = bytes | BlockId


def inline(chunks: Sequence[BytesLike], limit: int) -> bytes | None:
    """Chunks of bytes in one piece, as they travel inline; None when they are more than the limit."""
    return b"".join(chunks) if sum(map(len, chunks)) <= limit else None


def read_payload(blocks: BlockManager, payload: bytes | BlockIdLike) -> bytes | memoryview:
    """The bytes of a payload, whichever way it came. Raises BlockNotFoundError when its block is gone."""
    if isinstance(payload, bytes):
        return payload
    assert isinstance(payload, BlockId)
    found = blocks.get_bytes(payload)
    if found is None:
        raise BlockNotFoundError(f"block {payload} is not there any more")
    return found.memoryview()
