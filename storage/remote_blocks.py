"""Reading blocks that other processes hold, or left behind.

Covers asking the master for locations and trying them one after the other: shared memory and files are mapped here, an
external store is asked by this process, a block on a heap is shared by its holder first, and so is one that cannot be
mapped, or is damaged, though its holder lives. A location that leads nowhere or to damaged bytes is reported, dropped
by the master, and the next one is tried, as it is when this process cannot map the bytes now; every lease that came
with a location is used or given back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from protocol import sites
from protocol.errors import CorruptBlockError, StaleLocationError, StorageError
from protocol.locations import (
    BlockManagerId,
    ExternalLocation,
    FileLocation,
    HeapLocation,
    Location,
    SharedLocation,
    ShmLocation,
)
from storage.block_id import BlockId
from storage.block_manager_master import BlockManagerMaster
from storage.location_reader import LocationReader
from storage.managed_buffer import ManagedBuffer
from storage.serializer import check

log = logging.getLogger(__name__)


class RemoteBlocks:
    """What one block manager reads from the others. Thread-safe. ``read_external`` is `OffHeapStore.get_of_others`."""

    def __init__(
        self,
        me: BlockManagerId,
        master: BlockManagerMaster,
        reader: LocationReader,
        read_external: Callable[[BlockId], ManagedBuffer | None],
    ) -> None:
        self._me = me
        self._master = master
        self._reader = reader
        self._read_external = read_external
        self.problem = ""  # why a location could not be read, of the last one; for messages

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """The serialised bytes, checked, from the first location that has them; None when none has. Raises
        ChannelError.
        """
        # The holder may be this block manager: the caller has looked here already.
        left = [entry for entry in self._master.get_locations(block_id) if entry[0] != self._me]
        copies = len(left)
        try:
            while left:
                is_first = len(left) == copies
                found = self._try(block_id, *left.pop(0))
                if found is not None:
                    if not is_first:
                        self._master.report_replica_read(block_id)
                    return found
            return None
        finally:
            for _, location in left:
                if isinstance(location, ShmLocation):
                    self._reader.give_back(location)

    def _try(self, block_id: BlockId, holder: BlockManagerId, location: Location) -> ManagedBuffer | None:
        problem = "its holder does not share it"
        damaged = False
        try:
            if isinstance(location, ShmLocation | FileLocation):
                return self._map(block_id, holder, location)
            found = self._read_external(block_id) if isinstance(location, ExternalLocation) else None
            if found is not None:
                check(found.memoryview())
                return found
        except StaleLocationError as error:
            # The text alone: the error's frames would keep the next location's view, and so its lease.
            problem = str(error)
        except CorruptBlockError as error:
            problem, damaged = str(error), True
            self._master.report_corrupt_block(block_id, holder.executor_id, location)
        # What only the holder can read: its heap, a store of its own, a segment whose file was removed. And it looks
        # for itself whether the block is damaged.
        shared = self._master.fetch_block(block_id, holder.executor_id)
        if shared is not None:
            try:
                return self._map(block_id, holder, shared)
            except (StaleLocationError, CorruptBlockError) as error:
                problem = str(error)
        elif isinstance(location, HeapLocation):
            log.info("%s does not share block %s any more", holder.executor_id, block_id)
            return None
        self.problem = problem
        log.warning("block %s at %s: %s", block_id, holder.executor_id, problem)
        if not damaged:
            self._master.report_stale_location(block_id, holder, location)
        return None

    def _map(self, block_id: BlockId, holder: BlockManagerId, location: SharedLocation) -> ManagedBuffer | None:
        """None when this process is short of what it needs for it. Raises StaleLocationError, CorruptBlockError."""
        if sites.armed is not None:
            sites.armed("block.read", block=block_id.name, block_id=block_id, location=location)
        try:
            data = self._reader.read(location, leased=True)
        except StaleLocationError:
            raise
        except StorageError as error:
            self.problem = str(error)
            log.warning("block %s at %s cannot be read now: %s", block_id, holder.executor_id, error)
            return None
        check(data.memoryview())
        return data
