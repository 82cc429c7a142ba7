"""Where the tasks of a stage would like to run: at the executors that hold their cached blocks on the heap.

Blocks in shared memory or in files are equally near to every executor and so express no wish. Follows
``DAGScheduler.getPreferredLocs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from localcluster.rdd.core import RDDCore
from localcluster.rdd.lineage import narrow_lineage, read_with, walk
from protocol.locations import DRIVER, BlockManagerId, HeapLocation, Location
from storage.block_id import BlockId, RDDBlockId

Holders = Sequence[tuple[BlockManagerId, Location]]
LocationsOf = Callable[[Sequence[BlockId]], Sequence[Holders]]


def preferences(
    last: RDDCore[Any], partitions: Mapping[int, int], locations_of: LocationsOf
) -> Mapping[int, Sequence[str]]:
    """{position: executor ids}, for those positions that have a wish, of a stage that ends in ``last``. ``partitions``
    are its indices, by position.
    """
    members = list(narrow_lineage(last))
    cached = {rdd.id(): _holders(rdd, locations_of) for rdd in members if rdd.getStorageLevel().is_valid}
    has_wishes = any(type(rdd).preferred_locations is not RDDCore.preferred_locations for rdd in members)
    if not has_wishes and not any(any(holders) for holders in cached.values()):
        return {}
    wishes = {}
    for position, index in partitions.items():
        homes = _homes(last, index, cached)
        if homes:
            wishes[position] = homes
    return wishes


def _holders(rdd: RDDCore[Any], locations_of: LocationsOf) -> list[Holders]:
    return list(locations_of([RDDBlockId(rdd.id(), index) for index in range(rdd.getNumPartitions())]))


def _homes(rdd: RDDCore[Any], index: int, cached: Mapping[int, list[Holders]]) -> list[str]:
    """Executors for one partition: the first wish met on the way up through narrow dependencies."""
    for member, partition in walk((rdd, index), lambda reader: reversed(read_with(reader))):
        holders = cached[member.id()][partition] if member.id() in cached else ()
        if holders:
            heap = [holder.executor_id for holder, location in holders if isinstance(location, HeapLocation)]
            if len(heap) < len(holders):
                return []  # a copy that everyone can map
            return [executor_id for executor_id in heap if executor_id != DRIVER]
        own = member.preferred_locations(member._partitions()[partition])
        if own:
            return own
    return []
