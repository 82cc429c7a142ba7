"""Bytes that come inline or as a block."""

from __future__ import annotations

import pytest

from localcluster.shuffle.payload import inline, read_payload
from protocol.errors import BlockNotFoundError
from storage.block_id import BroadcastBlockId
from storage.serializer import wrap
from tests.localcluster.shuffle.bench import ShuffleBench


def test_a_payload_is_read_whichever_way_it_came_until_its_block_is_gone(bench: ShuffleBench) -> None:
    block_id = BroadcastBlockId(0)
    bench.blocks.put_shared(block_id, wrap(b"payload"))
    assert [bytes(read_payload(bench.other, payload)) for payload in (b"payload", block_id)] == [b"payload"] * 2
    with pytest.raises(BlockNotFoundError, match="broadcast_1 is not there any more"):
        read_payload(bench.other, BroadcastBlockId(1))


def test_what_is_at_most_the_limit_travels_inline_in_one_piece() -> None:
    chunks = [b"pay", memoryview(b"load")]
    assert inline(chunks, 7) == b"payload"
    assert inline(chunks, 6) is None
    assert inline([], 0) == b""
