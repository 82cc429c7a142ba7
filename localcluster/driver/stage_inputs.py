"""What a stage is computed from, for the scheduler: pickled partitions, wishes of tasks, missing blocks."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import ref

from localcluster.driver.block_master import BlockMaster
from localcluster.driver.missing_blocks import missing_blocks
from localcluster.driver.preferences import preferences
from localcluster.rdd.core import RDDCore
from localcluster.scheduler.stage import Missing


class LineageInputs:
    """`StageInputs` of a stage that ends in ``rdd``. It keeps the partitions of the moment, since a checkpoint may cut
    the lineage later; ``partitions`` are the indices of those to compute, by position.

    The RDD is held weakly: whoever lets go of a lineage last runs the finalizers of the user's objects in it, which
    must not be the driver's event loop. `Planner.lineage` keeps it alive.
    """

    def __init__(self, rdd: RDDCore[Any], partitions: Sequence[int], blocks: BlockMaster) -> None:
        self._rdd = ref(rdd)
        self._inputs = rdd._partitions()
        self._partitions = partitions
        self._blocks = blocks

    def encode(self, position: int) -> bytes:
        return pickle.dumps(self._inputs[self._partitions[position]], protocol=5)

    def preferences(self, positions: Sequence[int]) -> Mapping[int, Sequence[str]]:
        rdd = self._rdd()
        if rdd is None:  # the program has let go of the job
            return {}
        return preferences(rdd, {p: self._partitions[p] for p in positions}, self._blocks.locations_of)

    def missing_blocks(self) -> Missing | None:
        return missing_blocks(self._rdd, self._partitions, self._blocks.endpoint.is_stored)
