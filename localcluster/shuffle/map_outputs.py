"""An executor's view of where map outputs are: fetched from the driver once per shuffle and epoch.

Follows Spark's ``MapOutputTrackerWorker``; the table itself is the driver's (``scheduler.map_output_tracker``).
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

from localcluster.shuffle.kept_tables import KeptTables
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.payload import read_payload
from protocol.cluster_messages import GetMapOutputs
from protocol.errors import BlockNotFoundError, FetchFailedError
from protocol.forks import free_in_forks
from storage.block_manager import BlockManager

ATTEMPTS = 3  # questions for one table: a large one's block may go, for a newer one, before it was read


class MapOutputs:
    """The tables of map outputs that an executor has asked for.

    ``ask`` puts a message to the driver and waits for the answer.
    """

    def __init__(self, ask: Callable[[Any], Any], blocks: BlockManager) -> None:
        self._ask = ask
        self._blocks = blocks
        self._asking = free_in_forks(threading.Lock())  # held by the one task that asks; taken before `_lock`
        self._lock = free_in_forks(threading.Lock())  # guards all below; orders wait for it, so it is held for moments
        self._kept = KeptTables()

    def advance(self, epoch: int) -> None:
        """Forget tables that are older than the epoch a task was launched at."""
        with self._lock:
            self._kept.advance(epoch)

    def forget(self, shuffle_id: int) -> None:
        with self._lock:
            self._kept.forget(shuffle_id)

    def table(self, shuffle_id: int) -> Sequence[MapStatus | None]:
        """Statuses by map index. Raises FetchFailedError when the driver does not know the shuffle."""
        with self._asking:  # the other task threads want the same table
            with self._lock:
                known, forgotten = self._kept.get(shuffle_id), self._kept.forgotten
            if known is not None:
                return known
            table = self._fetch(shuffle_id)
            with self._lock:
                self._kept.keep(shuffle_id, table, forgotten)
            return table

    def _fetch(self, shuffle_id: int) -> Sequence[MapStatus | None]:
        for _ in range(ATTEMPTS):
            answer = self._ask(GetMapOutputs(shuffle_id))
            if answer is None:
                raise FetchFailedError(shuffle_id, {}, "the driver does not know this shuffle any more")
            try:
                rows = pickle.loads(read_payload(self._blocks, answer))
            except BlockNotFoundError as error:
                gone = error
            else:
                return [None if row is None else MapStatus._make(row) for row in rows]
        raise gone
