"""Damaged copies, as the block master sees them: who found which, and which leave the books.

Covers what readers report. A living holder looks for itself: its own read drops a copy that it finds damaged, and a
reader has it look by `FetchBlock`. What a dead one left is dropped here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import cast

from protocol import block_messages as m
from protocol.events import BlockCorrupt, Recorder
from protocol.locations import BlockManagerId, Location
from storage.block_fates import BlockFates
from storage.block_id import BlockId
from storage.block_table import BlockTable
from storage.outcome import Handlers, Outcome, Tells

log = logging.getLogger(__name__)


class MasterDamage:
    """A part of the master endpoint. ``drop(block, holder)`` takes one copy out of the books; what follows from it.

    ``restore()`` is what is done for blocks that lack copies then (`MasterReplicas.begin`).
    """

    def __init__(
        self,
        table: BlockTable,
        fates: BlockFates,
        drop: Callable[[BlockId, BlockManagerId], Tells],
        restore: Callable[[], Outcome | None],
        record: Recorder,
    ) -> None:
        self._table = table
        self._fates = fates
        self._drop = drop
        self._restore = restore
        self._record = record
        self._reported: set[tuple[BlockId, BlockManagerId, Location]] = set()  # copies that are in the books still
        self._leaving: set[tuple[BlockId, BlockManagerId]] = set()  # that their holder found damaged or gone
        self.handlers: Handlers = {
            m.ReportCorruptBlock: self._report_corrupt_block,
        }

    def _report_corrupt_block(self, sender: str, message: m.ReportCorruptBlock, now: float) -> Outcome:
        block_id, location = cast(BlockId, message.block_id), message.location
        self._reported = {copy for copy in self._reported if self._is_at(*copy)}
        holder = self._holder_of(block_id, message.holder, location)
        if holder is None:
            return Outcome()  # the block has moved since, or is gone
        found_by_holder = sender == holder.executor_id
        if not found_by_holder and (block_id, holder, location) in self._reported:
            return Outcome()
        log.warning("%s of %s is damaged, as %s found", block_id, holder.executor_id, sender)
        self._record(BlockCorrupt(time.time(), block_id.name, holder.executor_id, sender))
        if self._table.manager(holder) is None:
            tells = self._drop(block_id, holder)
            self._fates.copy_gone(block_id, holder.executor_id)
            return Outcome(tells=tells, background=self._restore())
        if found_by_holder:
            self._leaving.add((block_id, holder))
        else:
            self._reported.add((block_id, holder, location))
        return Outcome()

    def found_gone(self, block_id: BlockId, holder: BlockManagerId) -> None:
        """The living holder itself has found that its copy's bytes are not there any more."""
        if self._table.status(block_id, holder) is not None:
            self._leaving.add((block_id, holder))

    def reported(self, block_id: BlockId, holder: BlockManagerId) -> Outcome | None:
        """The holder has told what it has of the block now: nothing, perhaps, after it found the copy damaged. What is
        to be done in the background then.
        """
        if (block_id, holder) not in self._leaving:
            return None
        self._leaving.discard((block_id, holder))
        if not self._table.statuses(block_id):
            self._fates.copy_gone(block_id, holder.executor_id)
        return self._restore()

    def _holder_of(self, block_id: BlockId, executor_id: str, location: Location) -> BlockManagerId | None:
        for holder, status in self._table.statuses(block_id).items():
            # A holder's own look may be at the one of two tiers that it had not told of.
            if holder.executor_id == executor_id and (status.location == location or self._table.manager(holder)):
                return holder
        return None

    def _is_at(self, block_id: BlockId, holder: BlockManagerId, location: Location) -> bool:
        status = self._table.status(block_id, holder)
        return status is not None and status.location == location
