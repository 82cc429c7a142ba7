"""Sort shuffle: a map task writes one data block, its parts in order of reduce partition, and an index block beside it.

The index is ``numPartitions + 1`` unsigned 64-bit offsets into the data block, as in Spark's
``IndexShuffleBlockResolver``, and has a checksum (`serializer.wrap`), as the parts have in their batches.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.partitioned_buffer import PartitionedBuffer
from protocol.locations import SharedLocation
from storage import serializer
from storage.block_id import BlockId, ShuffleDataBlockId, ShuffleIndexBlockId
from storage.block_store import BytesLike
from storage.managed_buffer import ManagedBuffer

_ALIGNMENT = 64  # bytes: out-of-band buffers are aligned relative to the start of their part
_RANGE = struct.Struct("<QQ")


class SortShuffleManager(ShuffleManager):
    def store(self, shuffle_id: int, map_id: int, parts: PartitionedBuffer) -> tuple[SharedLocation | None, ...]:
        chunks: list[BytesLike] = []
        offsets = [0]
        for part in range(parts.num_partitions):
            size = 0
            for chunk in parts.chunks(part):
                chunks.append(chunk)
                size += len(chunk)
            if padding := -size % _ALIGNMENT:
                chunks.append(bytes(padding))
            offsets.append(offsets[-1] + size + padding)
        index = serializer.wrap(struct.pack(f"<{len(offsets)}Q", *offsets))
        data_id = ShuffleDataBlockId(shuffle_id, map_id, 0)
        data = self.blocks.put_shared(data_id, chunks, tell_master=False)
        try:
            return data, self.blocks.put_shared(ShuffleIndexBlockId(shuffle_id, map_id, 0), index, tell_master=False)
        except BaseException:
            self.blocks.remove_block(data_id, tell_master=False)
            raise

    @staticmethod
    def block_ids(shuffle_id: int, map_id: int, blocks: Sequence[SharedLocation | None]) -> list[BlockId]:
        return [ShuffleDataBlockId(shuffle_id, map_id, 0), ShuffleIndexBlockId(shuffle_id, map_id, 0)]

    def locate(self, shuffle_id: int, status: MapStatus, partition: int) -> ManagedBuffer | None:
        data, index = status.blocks
        assert data is not None
        assert index is not None
        index_id = ShuffleIndexBlockId(shuffle_id, status.map_id, 0)
        offsets = serializer.unwrap(self.blocks.read_location(index, index_id).memoryview())
        start, end = _RANGE.unpack_from(offsets, partition * 8)
        if start == end:
            return None
        part = replace(data, offset=data.offset + start, length=end - start)
        return self.blocks.read_location(part, ShuffleDataBlockId(shuffle_id, status.map_id, 0))
