"""Keeping the master informed of the blocks of one block manager.

Covers reporting one block's status, registering, and registering again when the master does not know this manager.

A status is looked up and sent under one lock, so the report that arrives last tells the latest state, whoever changed
it. The lock is never taken by what the master's answer leads to, and no block's lock is waited for under it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from protocol.forks import free_in_forks
from protocol.locations import BlockManagerId
from storage.block_id import BlockId
from storage.block_manager_master import BlockManagerMaster
from storage.block_status import BlockStatus

log = logging.getLogger(__name__)


class StatusReporter:
    """Tells the block master what became of the blocks of this process.

    Thread-safe. ``status(block_id)`` looks a block up; ``reported()`` lists the ids of all that the master may
    know.
    """

    def __init__(
        self,
        me: BlockManagerId,
        master: BlockManagerMaster,
        max_memory: int,
        status: Callable[[BlockId], BlockStatus],
        reported: Callable[[], Iterable[BlockId]],
    ) -> None:
        self._me = me
        self._master = master
        self._max_memory = max_memory
        self._status = status
        self._reported = reported
        self._lock = free_in_forks(threading.RLock())  # registering again reports all blocks
        # Blocks whose old extent turned out to be read when `reregister` reported them, to be told to whoever left it.
        self._still_read: set[BlockId] = set()

    def register(self) -> None:
        """Raises ChannelError when the master is gone."""
        self._master.register_block_manager(self._me, self._max_memory)

    def report(self, block_id: BlockId) -> bool:
        """Tell the master what there is of the block now. False: another process reads the extent that it left."""
        with self._lock:
            reply = self._master.update_block_info(self._me, block_id, self._status(block_id))
            if not reply.known:
                self.reregister()
                self._master.update_block_info(self._me, block_id, self._status(block_id))
            released = reply.released and block_id not in self._still_read
            self._still_read.discard(block_id)
            return released

    def reregister(self) -> None:
        """Register and report every block, as the master knows none of them."""
        log.info("the master does not know %s: registering again", self._me)
        with self._lock:
            self.register()
            for block_id in self._reported():
                status = self._status(block_id)
                if status.is_cached and not self._master.update_block_info(self._me, block_id, status).released:
                    self._still_read.add(block_id)
