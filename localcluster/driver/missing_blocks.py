"""Which cached blocks the task of a partition would compute and keep: those that nobody holds.

For `scheduler.block_claims`. Where those are that somebody holds is a matter of ``preferences``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from localcluster.rdd.core import RDDCore
from localcluster.rdd.lineage import narrow_lineage, read_with, walk
from localcluster.scheduler.stage import Missing
from storage.block_id import BlockId, RDDBlockId


def missing_blocks(
    last: ref[RDDCore[Any]], partitions: Sequence[int], is_stored: Callable[[BlockId], bool]
) -> Missing | None:
    """By position, of a stage that ends in ``last``; None when no RDD of the stage is persisted."""
    rdd = last()
    if rdd is None or not any(member.getStorageLevel().is_valid for member in narrow_lineage(rdd)):
        return None

    def missing(position: int) -> list[BlockId]:
        rdd = last()
        return [] if rdd is None else _missing(rdd, partitions[position], is_stored)

    return missing


def _missing(rdd: RDDCore[Any], index: int, is_stored: Callable[[BlockId], bool]) -> list[BlockId]:
    found: list[BlockId] = []
    stored: set[tuple[RDDCore[Any], int]] = set()
    for partition in walk((rdd, index), lambda partition: () if partition in stored else read_with(partition)):
        member, of_member = partition
        if member.getStorageLevel().is_valid:
            block_id = RDDBlockId(member.id(), of_member)
            if is_stored(block_id):
                stored.add(partition)  # what is behind it is not computed
            else:
                found.append(block_id)
    return found
