"""`BlockFates`: what is told of blocks in events: adopted, lost, there again, read from another copy.

Covers telling a loss from a removal, and which blocks were lost until they are there again or nobody wants them. Does
not change the books (`storage.block_table`): it looks at them when they have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from protocol.events import BlockAdopted, BlockLost, BlockReadFromReplica, BlockRecomputed, Recorder
from protocol.locations import BlockManagerId
from storage.block_id import BlockId
from storage.block_table import BlockTable


class BlockFates:
    """A part of the master endpoint.

    Of map outputs the losses are told by whoever has the table of them: computed again, one has another id.
    """

    def __init__(self, table: BlockTable, record: Recorder) -> None:
        self._table = table
        self._record = record
        self._lost: set[BlockId] = set()  # and not there again

    def manager_gone(
        self, manager_id: BlockManagerId, held: Collection[BlockId], passed_on: Collection[BlockId]
    ) -> None:
        """A block manager is out of the books. What it ``held`` is adopted under its name, ``passed_on``, or gone."""
        for block_id in held:
            if block_id in passed_on or manager_id in self._table.statuses(block_id):
                self.adopted(block_id, manager_id.executor_id)
            else:
                self.copy_gone(block_id, manager_id.executor_id)

    def adopted(self, block_id: BlockId, executor_id: str) -> None:
        self._record(BlockAdopted(time.time(), str(block_id), executor_id))

    def copy_gone(self, block_id: BlockId, executor_id: str) -> None:
        """A copy is out of the books that nobody removed."""
        if not self._table.statuses(block_id) and block_id.of_shuffle is None:
            self._lost.add(block_id)
            self._record(BlockLost(time.time(), str(block_id), executor_id))

    def stored(self, block_id: BlockId, executor_id: str, *, is_copy: bool) -> None:
        """`is_copy`: of one that was there when it was ordered."""
        if block_id in self._lost:
            self._lost.remove(block_id)
            if not is_copy:
                self._record(BlockRecomputed(time.time(), str(block_id), executor_id))

    def came_back(self, held: Collection[BlockId]) -> None:
        """A block manager lives that was out of the books since it was silent: what it held then is lost no more."""
        self._lost.difference_update(held)

    def read_from_replica(self, block_id: BlockId, reader: str) -> None:
        self._record(BlockReadFromReplica(time.time(), str(block_id), reader))

    def removed(self, wanted: Callable[[BlockId], bool]) -> None:
        """Of what passes the filter nobody wants anything any more."""
        self._lost = {block_id for block_id in self._lost if not wanted(block_id)}

    def clear(self) -> None:
        self._lost.clear()

    def check(self) -> None:
        """Audit. Raises AssertionError."""
        for block_id in self._lost:
            assert not self._table.statuses(block_id), f"{block_id} is lost, and there"
