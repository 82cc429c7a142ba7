"""Damaged and lost blocks of one process: what its own reads find, and what it does about them.

Covers which blocks those are, telling the master, and making the runtime's good again. The stores drop theirs
(`storage.tiers`); what is found in the blocks of others is `storage.remote_blocks`'s, and the master's part is
`storage.master_damage`.
"""

from __future__ import annotations

import logging

from protocol.errors import CorruptBlockError, StaleLocationError, StorageError
from protocol.locations import BlockManagerId, Location
from storage import os_layer
from storage.block_id import BlockId
from storage.block_manager_master import BlockManagerMaster
from storage.managed_buffer import ManagedBuffer
from storage.scratch import Scratch
from storage.serializer import check
from storage.shared_blocks import SharedBlocks

log = logging.getLogger(__name__)


class LocalDamage:
    """The blocks that were found damaged or gone here, and were not read or put again since. Thread-safe."""

    def __init__(self, me: BlockManagerId, master: BlockManagerMaster, shared: SharedBlocks) -> None:
        self._me = me
        self._master = master
        self._shared = shared
        self._lost: set[BlockId] = set()

    def found(self, block_id: BlockId, location: Location | None, error: StorageError) -> None:
        """A read failed by a CorruptBlockError or a StaleLocationError; the block was at `location`, if it was told."""
        self._lost.add(block_id)
        if location is None:
            return
        if isinstance(error, CorruptBlockError):
            self._master.report_corrupt_block(block_id, self._me.executor_id, location)
        else:
            self._master.report_stale_location(block_id, self._me, location)

    def nowhere(self, block_id: BlockId, location: Location | None) -> None:
        """No store has the bytes of a block, which were last at `location`."""
        if block_id not in self._lost:  # no store had anything to find damaged
            self.found(block_id, location, StaleLocationError(f"no store here has block {block_id}"))

    def is_back(self, block_id: BlockId) -> bool:
        """The block is put here, or was read elsewhere; whether it was lost."""
        was_lost = block_id in self._lost
        self._lost.discard(block_id)
        return was_lost

    def get_shared(self, block_id: BlockId) -> ManagedBuffer | None:
        """The bytes of a block of the runtime's, checked; those that are damaged are written anew if they were kept.
        Else the block stays, so that nobody takes it for removed, but cannot be read: None.
        """
        try:
            data = self._shared.get(block_id)
            if data is not None:
                check(data.memoryview())
            return data
        except (CorruptBlockError, StaleLocationError) as error:
            log.warning("block %s is lost: %s", block_id, str(error))  # the error's frames may keep views
            self.found(block_id, self._shared.location(block_id), error)
        return self._shared.restore(block_id)


def warn_of_removed_files(scratch: Scratch, path: str) -> None:
    """Once per run: somebody else has removed the file of a segment, or cut it short."""
    if not scratch.claim("removed-files-noticed"):
        return
    if os_layer.exists(path):
        what = "cut short"
        why = "something outside of localcluster, or a plan of faults, has done that"
    else:
        what = "removed"
        why = "systemd does that when a user logs out (`loginctl enable-linger` or RemoveIPC=no in logind.conf helps)"
    log.warning(
        "the file %s was %s while its run lives, and others of the run may be: %s. The run goes on in new files; what "
        "can be read no more is computed again",
        path,
        what,
        why,
    )
