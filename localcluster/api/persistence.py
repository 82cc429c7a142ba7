"""`Persistence`: the part of a context that looks after what is kept of RDDs: blocks, outputs of shuffles, checkpoints.

Covers their removal and what is known of them. Keeping them is the business of tasks.
"""

from __future__ import annotations

import shutil
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from localcluster.rdd.dependency import ShuffleDependency
from localcluster.task.broadcast import note_uses
from storage.block_id import RDDBlockId
from storage.metadata_cleaner import MetadataCleaner

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from localcluster.driver.context_cleaner import ContextCleaner
    from localcluster.rdd.core import RDDCore
    from localcluster.rdd.rdd import RDD


class Persistence:
    """A part of `SparkContext`."""

    _cluster: Cluster
    _cleaner: ContextCleaner
    _cleans_checkpoints: bool
    _persisted: weakref.WeakValueDictionary[int, RDD[Any]]

    def persist_rdd(self, rdd: RDD[Any]) -> None:
        """Remove the RDD's blocks when it is collected."""
        rdd_id, cluster = rdd.id(), self._cluster
        if rdd_id not in self._persisted:
            self._persisted[rdd_id] = rdd
            self._cleaner.register(rdd, lambda: cluster.remove_rdd(rdd_id))

    def unpersist_rdd(self, rdd_id: int, blocking: bool) -> None:
        """Remove the RDD's blocks now."""
        self._persisted.pop(rdd_id, None)
        if not self._cluster.closed:
            self._cluster.remove_rdd(rdd_id, blocking)

    def _clean_by_age(self, ttl: float) -> MetadataCleaner:
        """Drop blocks that no process has used for ``ttl`` seconds. A local checkpoint's are all there is of it."""

        def clean() -> None:
            note_uses(self._cluster.env.block_manager)
            persisted = [reference() for reference in self._persisted.valuerefs()]
            spared = frozenset(rdd.id() for rdd in persisted if rdd is not None and rdd.isLocallyCheckpointed())
            self._cluster.drop_unused_blocks(ttl, spared)

        return MetadataCleaner(ttl, clean)

    def stored_partitions(self, rdd_id: int) -> dict[int, tuple[int, int]]:
        """{partition index: (bytes in memory, bytes on disk)} of the RDD's blocks, all copies together.

        Empty when the context is stopped.
        """
        stored = {}
        for block_id, holders in self._cluster.status.stored_blocks(rdd_id).items():
            copies = holders.values()
            in_memory = sum(copy.memory_size + copy.off_heap_size for copy in copies)
            stored[block_id.split_index] = in_memory, sum(copy.disk_size for copy in copies)
        return stored

    def missing_partitions(self, rdd: RDDCore[Any]) -> list[int]:
        """The partitions of which nobody holds a block."""
        block_ids = [RDDBlockId(rdd.id(), index) for index in range(rdd.getNumPartitions())]
        locations = self._cluster.env.block_manager.master.get_locations_multiple(block_ids)
        return [index for index, holders in enumerate(locations) if not holders]

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        """Remove the shuffle's outputs when the dependency is collected."""
        shuffle_id, cluster = dependency.shuffle.id, self._cluster
        self._cleaner.register(dependency, lambda: cluster.remove_shuffle(shuffle_id))

    def register_checkpoint(self, checkpoint: RDDCore[Any], directory: str) -> None:
        """Remove the files when the RDD that reads them is collected, if the settings say so."""
        cluster = self._cluster
        if self._cleans_checkpoints:
            self._cleaner.register(checkpoint, lambda: cluster.later(partial(shutil.rmtree, directory)))

    def clean_shuffles(self, rdd: RDDCore[Any], blocking: bool) -> None:
        """Remove the outputs of the shuffles behind ``rdd`` now, those behind persisted RDDs excepted."""
        seen: set[int] = set()
        todo = [rdd]
        while todo:
            member = todo.pop()
            if member.id() in seen or (member is not rdd and member.getStorageLevel().is_valid):
                continue
            seen.add(member.id())
            for dependency in member.dependencies:
                if isinstance(dependency, ShuffleDependency):
                    self._cluster.remove_shuffle(dependency.shuffle.id, blocking)
                todo.append(dependency.rdd)
