"""Where the outputs of map tasks are: the driver's table, one row per shuffle.

Covers registration, loss and the epoch that tells executors that a table they keep is out of date. Does not read or
write the outputs (``localcluster.shuffle``). Follows Spark's ``MapOutputTrackerMaster``. Not thread-safe: the driver's
lock guards it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from protocol.events import BlockLost, BlockRecomputed, Recorder, nobody
from protocol.locations import SharedLocation
from storage.block_id import BlockId

BlockIds: TypeAlias = Callable[[int, int, Sequence[SharedLocation | None]], Sequence[BlockId]]


class MapOutputTracker:
    """``block_ids`` are the shuffle manager's: of them the first names an output in events."""

    def __init__(self, record: Recorder = nobody, block_ids: BlockIds = SortShuffleManager.block_ids) -> None:
        self._record = record
        self._block_ids = block_ids
        self._lost: set[tuple[int, int]] = set()  # shuffle and map index of those that were not there again yet
        self._outputs: dict[int, list[MapStatus | None]] = {}  # {shuffle id: status by map index}
        self._missing: dict[int, int] = {}  # {shuffle id: how many are None}
        self.epoch = 0
        """Grows whenever an output is lost; a table fetched at an older epoch must be fetched again."""

    def register_shuffle(self, shuffle_id: int, num_maps: int) -> None:
        """Make the row of a shuffle; a row that exists is kept."""
        if shuffle_id not in self._outputs:
            self._outputs[shuffle_id] = [None] * num_maps
            self._missing[shuffle_id] = num_maps

    def unregister_shuffle(self, shuffle_id: int) -> None:
        row = self._outputs.pop(shuffle_id, None)
        if row is not None:
            del self._missing[shuffle_id]
            self._lost.difference_update((shuffle_id, index) for index in range(len(row)))
            self.epoch += 1

    def register_output(self, shuffle_id: int, map_index: int, status: MapStatus) -> bool:
        """Note an output. False when the shuffle was cleaned meanwhile or another attempt's output is there already."""
        row = self._outputs.get(shuffle_id)
        if row is None or row[map_index] is not None:
            return False
        row[map_index] = status
        self._missing[shuffle_id] -= 1
        if self._lost and (shuffle_id, map_index) in self._lost:
            self._lost.remove((shuffle_id, map_index))
            self._record(BlockRecomputed(time.time(), self._name(shuffle_id, status), status.executor_id))
        return True

    def lose_output(self, shuffle_id: int, map_index: int, map_id: int | None = None) -> bool:
        """Forget an output that could not be read; with ``map_id``, only if it is that task's.

        A reducer's report may be late: what has been written since is not what it missed.
        """
        row = self._outputs.get(shuffle_id)
        if row is None or map_index >= len(row):  # a reducer may miss a table that it took for unknown
            return False
        status = row[map_index]
        if status is None or (map_id is not None and status.map_id != map_id):
            return False
        row[map_index] = None
        self._lost.add((shuffle_id, map_index))
        self._record(BlockLost(time.time(), self._name(shuffle_id, status), status.executor_id))
        self._missing[shuffle_id] += 1
        self.epoch += 1
        return True

    def _name(self, shuffle_id: int, status: MapStatus) -> str:
        return str(self._block_ids(shuffle_id, status.map_id, status.blocks)[0])

    def is_complete(self, shuffle_id: int) -> bool:
        return self._missing.get(shuffle_id, 1) == 0

    def missing(self, shuffle_id: int) -> list[int]:
        """Map indices without an output, in order."""
        return [index for index, status in enumerate(self._outputs.get(shuffle_id, ())) if status is None]

    def table(self, shuffle_id: int) -> Sequence[MapStatus | None]:
        """The statuses by map index; empty when the shuffle is unknown."""
        return self._outputs.get(shuffle_id, ())

    def shuffles(self) -> list[int]:
        """Ids of the shuffles that have a row."""
        return list(self._outputs)

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        assert self._outputs.keys() == self._missing.keys()
        assert all(self._outputs[shuffle_id][index] is None for shuffle_id, index in self._lost), "lost, and there"
        for shuffle_id, row in self._outputs.items():
            assert row.count(None) == self._missing[shuffle_id], f"shuffle {shuffle_id} miscounts its missing outputs"
