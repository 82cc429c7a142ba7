"""Bytes that travel inline in a message when they are few, else as a block in shared memory; how they are read."""

from __future__ import annotations

from protocol.errors import BlockNotFoundError
from protocol.message import BlockIdLike
from storage.block_id import BlockId
from storage.block_manager import BlockManager


def read_payload(blocks: BlockManager, payload: bytes | BlockIdLike) -> bytes | memoryview:
    """The bytes of a payload, whichever way it came. Raises BlockNotFoundError when its block is gone."""
    if isinstance(payload, bytes):
        return payload
    assert isinstance(payload, BlockId)
    found = blocks.get_bytes(payload)
    if found is None:
        raise BlockNotFoundError(f"block {payload} is not there any more")
    return found.memoryview()
