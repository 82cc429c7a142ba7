"""`Kept`: the part of a context that looks after what is kept for RDDs: records, blocks, outputs of
shuffles, checkpoints; and after broadcasts.

Covers their removal and what is known of them. Keeping blocks and outputs is the business of tasks.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.partition_data import PartitionData
from localcluster.serializers.record_encoding import encoded_and_decoded
from localcluster.shuffle.payload import IN_TASK, inline
from localcluster.task.broadcast import Broadcast, note_uses
from storage import os_layer, serializer
from storage.block_id import RDDBlockId
from storage.metadata_cleaner import MetadataCleaner

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from localcluster.driver.context_cleaner import ContextCleaner
    from localcluster.rdd.core import RDDCore
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers.framing import Serializer

T = TypeVar("T")


class Kept:
    """What RDDs and programs keep in a context.

    See `rdd.job_service.KeepsData`. ``encoding`` is what records go through, if the program has chosen one.
    """

    def __init__(
        self, cluster: Cluster, cleaner: ContextCleaner, encoding: Serializer | None, cleans_checkpoints: bool
    ) -> None:
        self._cluster = cluster
        self._cleaner = cleaner
        self._encoding = encoding
        self._cleans_checkpoints = cleans_checkpoints
        self._persisted = cluster.status.persisted
        self._kept_rdds = cluster.status.kept_rdds

    def put_partition(self, values: list[Any]) -> PartitionData:
        self._cluster.check_usable()
        if self._encoding is not None:
            values = encoded_and_decoded(self._encoding, values)
        chunks = serializer.serialize(values)
        data = inline(chunks, IN_TASK)
        if data is not None:
            return PartitionData(data)
        block_id = self._cluster.blocks.put_broadcast("data", *chunks)
        partition = PartitionData(block_id)
        self._cleaner.register(partition, lambda: self._cluster.blocks.remove_broadcast(block_id.broadcast_id))
        return partition

    def broadcast(self, value: T, keep: bool = True) -> Broadcast[T]:
        """Its blocks are removed when the variable is collected. ``keep``: see `Broadcast`."""
        self._cluster.check_usable()
        self._cluster.will_need(value)
        broadcast_id = self._cluster.blocks.next_broadcast_id()
        variable = Broadcast(broadcast_id, value, self._cluster.blocks.remove_broadcast, keep)
        self._cleaner.register(variable, lambda: self._cluster.blocks.remove_broadcast(broadcast_id))
        return variable

    def persist(self, rdd: RDD[Any]) -> None:
        rdd_id, cluster, kept = rdd.id(), self._cluster, self._kept_rdds

        def forget() -> None:
            kept.discard(rdd_id)
            cluster.blocks.remove_rdd(rdd_id)

        if rdd_id not in self._persisted:
            self._persisted[rdd_id] = rdd
            kept.add(rdd_id)
            self._cleaner.register(rdd, forget)

    def unpersist(self, rdd_id: int, blocking: bool) -> None:
        self._persisted.pop(rdd_id, None)
        self._kept_rdds.discard(rdd_id)
        if not self._cluster.closed:
            self._cluster.blocks.remove_rdd(rdd_id, blocking)

    def clean_by_age(self, ttl: float) -> MetadataCleaner:
        """Drop blocks that no process has used for ``ttl`` seconds. A local checkpoint's are all there is of it."""

        def clean() -> None:
            note_uses(self._cluster.env.block_manager)
            persisted = [reference() for reference in self._persisted.valuerefs()]
            spared = frozenset(rdd.id() for rdd in persisted if rdd is not None and rdd.isLocallyCheckpointed())
            self._cluster.blocks.drop_unused(ttl, spared)

        return MetadataCleaner(ttl, clean)

    def stored_partitions(self, rdd_id: int) -> dict[int, tuple[int, int]]:
        """Empty when the context is stopped."""
        stored = {}
        for block_id, holders in self._cluster.status.stored_blocks(rdd_id).items():
            copies = holders.values()
            in_memory = sum(copy.memory_size + copy.off_heap_size for copy in copies)
            stored[block_id.split_index] = in_memory, sum(copy.disk_size for copy in copies)
        return stored

    def missing_partitions(self, rdd: RDDCore[Any]) -> list[int]:
        block_ids = [RDDBlockId(rdd.id(), index) for index in range(rdd.getNumPartitions())]
        locations = self._cluster.env.block_manager.master.get_locations_multiple(block_ids)
        return [index for index, holders in enumerate(locations) if not holders]

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        shuffle_id, cluster = dependency.shuffle.id, self._cluster
        self._cleaner.register(dependency, lambda: cluster.remove_shuffle(shuffle_id))

    def register_checkpoint(self, checkpoint: RDDCore[Any], directory: str) -> None:
        cluster = self._cluster
        if self._cleans_checkpoints:
            self._cleaner.register(checkpoint, lambda: cluster.later(partial(os_layer.remove_tree, directory)))

    def remove_shuffle(self, shuffle_id: int, blocking: bool) -> None:
        self._cluster.remove_shuffle(shuffle_id, blocking)
