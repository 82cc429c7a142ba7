"""Answers executors that ask where a shuffle's outputs are. A large table becomes a block in shared memory.

Each table is pickled once per epoch, and once more when it has become complete. Under the driver's lock, but for
putting a large table, which may wait.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from localcluster.base.side_thread import SideThread
from localcluster.driver.block_master import BlockMaster, respond
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.shuffle.payload import IN_MESSAGE
from protocol.block_messages import RemoveBlock
from protocol.cluster_messages import GetMapOutputs
from protocol.endpoint import Reply
from storage.block_id import BlockId


class MapOutputServer:
    """Answers executors that ask where map outputs are.

    ``put(chunks)`` stores bytes as a shared block and gives its id.
    """

    def __init__(
        self, outputs: MapOutputTracker, master: BlockMaster, side: SideThread, put: Callable[[bytes], BlockId]
    ) -> None:
        self._outputs = outputs
        self._master = master
        self._side = side
        self._put = put
        # {shuffle id: ((epoch, is complete), bytes or block id)}
        self._tables: dict[int, tuple[tuple[int, bool], Future[Any]]] = {}

    def serve(self, executor_id: str, message: GetMapOutputs, reply: Reply | None) -> None:
        """Answer an executor that asks."""
        assert reply is not None
        shuffle_id = message.shuffle_id
        version = self._outputs.epoch, self._outputs.is_complete(shuffle_id)
        kept, table = self._tables.get(shuffle_id, (None, None))
        if table is None or kept != version:
            self.forget(shuffle_id)
            table = self._pickle(shuffle_id)
            self._tables[shuffle_id] = (version, table)
        table.add_done_callback(lambda done: respond(reply, done))

    def forget(self, shuffle_id: int) -> None:
        """Drop the table kept for a shuffle, and its block."""
        _, table = self._tables.pop(shuffle_id, (None, None))
        if table is not None:
            table.add_done_callback(self._remove_block)

    def _pickle(self, shuffle_id: int) -> Future[Any]:
        rows = [None if row is None else tuple(row) for row in self._outputs.table(shuffle_id)]
        known = rows or self._outputs.is_complete(shuffle_id)  # a shuffle of no map tasks has no rows
        table = pickle.dumps(rows, protocol=5) if known else None
        done: Future[Any] = Future()
        if table is None or len(table) <= IN_MESSAGE:
            done.set_result(table)
        else:
            self._side.submit(lambda: self._put_table(table, done))
        return done

    def _put_table(self, table: bytes, done: Future[Any]) -> None:
        try:
            block_id = self._put(table)
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(block_id)

    def _remove_block(self, table: Future[Any]) -> None:
        if table.exception() is None and isinstance(table.result(), BlockId):
            self._master.tell(RemoveBlock(table.result()))
