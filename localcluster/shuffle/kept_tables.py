"""`KeptTables`: tables of map outputs that an executor has fetched, and for how long they are good.

A plain state machine, for one thread at a time; ``map_outputs`` asks for tables, and guards this one. A table is out of
date as soon as an output in it was lost: the driver's epoch, which comes with the tasks of each stage, tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from localcluster.shuffle.map_status import MapStatus


class KeptTables:
    def __init__(self) -> None:
        self._epoch = 0
        self._tables: dict[int, Sequence[MapStatus | None]] = {}  # {shuffle id: statuses by map index}
        self.forgotten = 0
        """How often tables were; to be noted before a table is asked for, and told to `keep`."""

    def get(self, shuffle_id: int) -> Sequence[MapStatus | None] | None:
        return self._tables.get(shuffle_id)

    def advance(self, epoch: int) -> None:
        """Forget tables that are older than the epoch a task was launched at."""
        if epoch > self._epoch:
            self._epoch = epoch
            self._tables.clear()
            self.forgotten += 1

    def forget(self, shuffle_id: int) -> None:
        self._tables.pop(shuffle_id, None)
        self.forgotten += 1

    def keep(self, shuffle_id: int, table: Sequence[MapStatus | None], forgotten: int) -> None:
        """Keep an answer, unless tables were forgotten since it was asked for. One with gaps is not kept either: they
        are filled without an epoch that tells.
        """
        if None not in table and forgotten == self.forgotten:
            self._tables[shuffle_id] = table
