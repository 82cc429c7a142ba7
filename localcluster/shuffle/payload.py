"""Bytes that travel inline in a message when they are few, else as a block in shared memory.

Covers how many are few, and how they are read: records lie in a block as they travel inline, other bytes are wrapped
there (`serializer.wrap`). Who makes a block of them names it and removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from protocol.errors import BlockNotFoundError, CorruptBlockError
from protocol.message import BlockIdLike
from storage import serializer
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
    """The bytes of a payload that holds no records, whichever way it came. Raises BlockNotFoundError when its block is
    gone, CorruptBlockError when it is not what was written.
    """
    return payload if isinstance(payload, bytes) else serializer.unwrap(_bytes_of(blocks, payload), checked=True)


def read_records(blocks: BlockManager, payload: bytes | BlockIdLike) -> Iterator[Any]:
    """The records of a payload, new objects each time. Raises as `read_payload`."""
    if isinstance(payload, bytes):
        return serializer.deserialize(payload, copy=True)
    return serializer.deserialize(_bytes_of(blocks, payload), copy=True, checked=True)


def _bytes_of(blocks: BlockManager, block_id: BlockIdLike) -> memoryview:
    assert isinstance(block_id, BlockId)
    found = blocks.get_bytes(block_id)
    if found is None and blocks.master.get_block_status(block_id):
        raise CorruptBlockError(f"block {block_id} is damaged, or this process cannot read it: {blocks.why_unread}")
    if found is None:
        raise BlockNotFoundError(f"block {block_id} is not there any more")
    return found.memoryview()
