"""Where the outputs of map tasks are: the driver's table, one row per shuffle.

Covers registration, loss and the epoch that tells executors that a table they keep is out of date. Does not read or
write the outputs (``localcluster.shuffle``). Follows Spark's ``MapOutputTrackerMaster``. Not thread-safe: the driver's
lock guards it.
"""

from __future__ import annotations

from collections.abc import Sequence

from localcluster.shuffle.map_status import MapStatus


class MapOutputTracker:
    def __init__(self) -> None:
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
        if self._outputs.pop(shuffle_id, None) is not None:
            del self._missing[shuffle_id]
            self.epoch += 1

    def register_output(self, shuffle_id: int, map_index: int, status: MapStatus) -> bool:
        """Note an output. False when the shuffle was cleaned meanwhile or another attempt's output is there already."""
        row = self._outputs.get(shuffle_id)
        if row is None or row[map_index] is not None:
            return False
        row[map_index] = status
        self._missing[shuffle_id] -= 1
        return True

    def lose_output(self, shuffle_id: int, map_index: int, before: int | None = None) -> bool:
        """Forget an output that could not be read; with ``before``, only if a task with a lower id wrote it.

        A reducer's report may be late: what was written by a task younger than the reducer is not what it missed.
        """
        row = self._outputs.get(shuffle_id)
        if row is None or map_index >= len(row):  # a reducer may miss a table that it took for unknown
            return False
        status = row[map_index]
        if status is None or (before is not None and status.map_id > before):
            return False
        row[map_index] = None
        self._missing[shuffle_id] += 1
        self.epoch += 1
        return True

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
        for shuffle_id, row in self._outputs.items():
            assert row.count(None) == self._missing[shuffle_id], f"shuffle {shuffle_id} miscounts its missing outputs"
