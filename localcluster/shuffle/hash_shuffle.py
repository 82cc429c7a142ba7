"""Hash shuffle: a map task writes one block per reduce partition, ``shuffle_S_M_R``. Empty parts have no block."""

from __future__ import annotations

from collections.abc import Sequence

from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.partitioned_buffer import PartitionedBuffer
from protocol.locations import SharedLocation
from storage.block_id import BlockId, ShuffleBlockId
from storage.managed_buffer import ManagedBuffer


class HashShuffleManager(ShuffleManager):
    def store(self, shuffle_id: int, map_id: int, parts: PartitionedBuffer) -> tuple[SharedLocation | None, ...]:
        written: list[SharedLocation | None] = []
        try:
            for part in range(parts.num_partitions):
                chunks = list(parts.chunks(part))
                block_id = ShuffleBlockId(shuffle_id, map_id, part)
                written.append(self.blocks.put_shared(block_id, chunks, tell_master=False) if chunks else None)
        except BaseException:
            for part, location in enumerate(written):
                if location is not None:
                    self.blocks.remove_block(ShuffleBlockId(shuffle_id, map_id, part), tell_master=False)
            raise
        return tuple(written)

    @staticmethod
    def block_ids(shuffle_id: int, map_id: int, blocks: Sequence[SharedLocation | None]) -> list[BlockId]:
        return [ShuffleBlockId(shuffle_id, map_id, part) for part in range(len(blocks))]

    def locate(self, shuffle_id: int, status: MapStatus, partition: int) -> ManagedBuffer | None:
        location = status.blocks[partition]
        if location is None:
            return None
        return self.blocks.read_location(location, ShuffleBlockId(shuffle_id, status.map_id, partition))
