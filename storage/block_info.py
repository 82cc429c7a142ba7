"""Who reads and who writes which block in this process.

Covers the locks of each block and the outcome of its put: the first writer of a block id puts it, the others wait for
the outcome. Does not cover where the values are (stores) nor telling the master (block manager). Follows Spark 2.x's
``BlockInfoManager``, with two differences: a put that ends without an outcome counts as failed, and a wait that could
never end is an error or is ended.

A lock belongs to an owner: the task given, else the calling thread. Any thread may give back the locks of a task. A
thread that died has given back its locks; a task's locks go with `release_all_locks_for_task`.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from threading import Condition, Thread, current_thread
from typing import TypeAlias

from protocol.errors import BlockNotFoundError, StorageError
from protocol.forks import free_in_forks
from storage.block_id import BlockId
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)

LIVENESS_PERIOD = 0.5  # seconds between two looks at whether those who are waited for are alive

TaskId: TypeAlias = int | str  # a client of a server for several runs has a name: `protocol.locations.across_runs`
Owner: TypeAlias = TaskId | Thread


class BlockState(Enum):
    PENDING = "pending"  # the first writer has not finished; only it holds a lock
    READY = "ready"
    FAILED = "failed"  # the put failed or the block was removed; no table holds this info any more


@dataclass(slots=True, eq=False)
class BlockInfo:
    """One block of this process. ``size`` (bytes) is for the writer to set, the rest for the manager."""

    level: StorageLevel
    tell_master: bool = True
    size: int = 0
    state: BlockState = BlockState.PENDING
    writer: Owner | None = None
    writer_thread: Thread | None = None
    reader_count: int = 0


class BlockInfoManager:
    """The table of blocks and their locks: many readers or one writer for each. Thread-safe.

    Read locks are counted, so an owner may take several; a write lock is exclusive, also towards its own owner. A
    wait ends when those who are waited for give the lock back, die, or remove the block.
    """

    def __init__(self) -> None:
        # Guards all below; notified whenever a lock is given back or a block goes.
        self._changed = free_in_forks(Condition())
        self._infos: dict[BlockId, BlockInfo] = {}
        self._read_locks: dict[Owner, Counter[BlockId]] = {}  # no empty counter, no zero count
        self._write_locks: dict[Owner, set[BlockId]] = {}  # no empty set

    def __len__(self) -> int:
        return len(self._infos)

    def get(self, block_id: BlockId) -> BlockInfo | None:
        """The block's info without any lock: good for a look, not for a decision."""
        return self._infos.get(block_id)

    def block_ids(self) -> list[BlockId]:
        with self._changed:
            return list(self._infos)

    def locked(self) -> list[BlockId]:
        """The blocks that somebody reads or writes."""
        with self._changed:
            return [block_id for block_id, info in self._infos.items() if info.reader_count or info.writer is not None]

    # --- taking locks ----------------------------------------------------------------------------------------------

    def lock_for_reading(
        self, block_id: BlockId, blocking: bool = True, task: TaskId | None = None
    ) -> BlockInfo | None:
        """Take a read lock, waiting for a writer to finish; None when the block is not here or its put failed.

        With ``blocking`` False, None also when somebody writes. Raises StorageError when the owner waits for itself.
        """
        owner = _owner(task)
        with self._changed:
            while (info := self._infos.get(block_id)) is not None:
                if info.writer is None:
                    info.reader_count += 1
                    self._read_locks.setdefault(owner, Counter())[block_id] += 1
                    return info
                if not blocking:
                    return None
                self._wait_for_others(block_id, info, owner)
        return None

    def lock_for_writing(
        self, block_id: BlockId, blocking: bool = True, task: TaskId | None = None
    ) -> BlockInfo | None:
        """Take the write lock, waiting until nobody reads or writes; None and errors as for `lock_for_reading`."""
        owner = _owner(task)
        with self._changed:
            while (info := self._infos.get(block_id)) is not None:
                if info.writer is None and info.reader_count == 0:
                    self._grant_write(block_id, info, owner)
                    return info
                if not blocking:
                    return None
                self._wait_for_others(block_id, info, owner)
        return None

    def lock_new_block_for_writing(self, block_id: BlockId, info: BlockInfo, task: TaskId | None = None) -> bool:
        """True: the block is new, ``info`` is in the table and the caller, holding the write lock, is to put it.

        False: the block is here, if need be after waiting for another's put, and the caller holds a read lock. When
        that put fails, the next one who waits gets True.
        """
        with self._changed:
            if self.lock_for_reading(block_id, task=task) is not None:
                return False
            self._infos[block_id] = info
            self._grant_write(block_id, info, _owner(task))
            return True

    # --- giving locks back -----------------------------------------------------------------------------------------

    def downgrade_lock(self, block_id: BlockId, task: TaskId | None = None) -> None:
        """Turn the owner's write lock into a read lock; a pending block is ready now. Raises StorageError."""
        owner = _owner(task)
        with self._changed:
            info = self.assert_locked_for_writing(block_id, task)
            self._release_write(block_id, info, owner)
            info.reader_count += 1
            self._read_locks.setdefault(owner, Counter())[block_id] += 1

    def unlock(self, block_id: BlockId, task: TaskId | None = None) -> bool:
        """Give back the owner's write lock (a pending block is ready now) or one of its read locks.

        False if it holds none: `release_all_locks_for_task` may have come first, for instance while an iterator over
        the block was being closed in another thread.
        """
        owner = _owner(task)
        with self._changed:
            info = self._infos.get(block_id)
            if info is None:
                return False
            if info.writer == owner:
                self._release_write(block_id, info, owner)
                return True
            if block_id not in self._read_locks.get(owner, ()):
                return False
            self._release_read(block_id, info, owner, 1)
            return True

    def remove_block(self, block_id: BlockId, task: TaskId | None = None) -> None:
        """Take the block out of the table and give back its write lock; those who wait find no block.

        Raises BlockNotFoundError, and StorageError when the owner does not hold the write lock.
        """
        with self._changed:
            if block_id not in self._infos:
                raise BlockNotFoundError(f"cannot remove {block_id}: it is not here")
            self._drop(block_id, self.assert_locked_for_writing(block_id, task))

    def release_all_locks_for_task(self, task: TaskId | None = None) -> list[BlockId]:
        """Give back all locks of a task, or of the calling thread, and return the blocks that were locked.

        A block that the owner had not finished putting counts as failed.
        """
        with self._changed:
            return self._release_all(_owner(task))

    def clear(self) -> None:
        """Forget all blocks and locks; those who wait find no block. For the end of the process's storage."""
        with self._changed:
            for info in self._infos.values():
                info.state, info.writer, info.writer_thread, info.reader_count = BlockState.FAILED, None, None, 0
            self._infos.clear()
            self._read_locks.clear()
            self._write_locks.clear()
            self._changed.notify_all()

    # --- audits ----------------------------------------------------------------------------------------------------

    def assert_locked_for_writing(self, block_id: BlockId, task: TaskId | None = None) -> BlockInfo:
        """The block's info. Raises StorageError unless the owner holds its write lock."""
        with self._changed:
            info = self._infos.get(block_id)
            if info is None or info.writer != _owner(task):
                raise StorageError(f"{_name(_owner(task))} does not hold the write lock of {block_id}")
            return info

    def check(self) -> None:
        """Audit that nobody holds a lock and no put is unfinished. Raises AssertionError."""
        with self._changed:
            for owner, block_ids in [*self._write_locks.items(), *self._read_locks.items()]:
                raise AssertionError(f"{_name(owner)} still locks {', '.join(map(str, block_ids))}")
            for block_id, info in self._infos.items():
                if info.state is not BlockState.READY or info.writer is not None or info.reader_count:
                    raise AssertionError(f"{block_id} is {info} though nobody locks it")

    # --- with the lock held ----------------------------------------------------------------------------------------

    def _grant_write(self, block_id: BlockId, info: BlockInfo, owner: Owner) -> None:
        info.writer, info.writer_thread = owner, current_thread()
        self._write_locks.setdefault(owner, set()).add(block_id)

    def _wait_for_others(self, block_id: BlockId, info: BlockInfo, owner: Owner) -> None:
        """Wait until something changed or the period is over. Raises StorageError if the owner waits for itself."""
        own_reads = self._read_locks[owner][block_id] if owner in self._read_locks else 0
        if info.writer == owner or own_reads == info.reader_count > 0:
            raise StorageError(f"{_name(owner)} would wait for its own lock of {block_id}")
        if not self._reap(block_id, info):
            self._changed.wait(LIVENESS_PERIOD)

    def _reap(self, block_id: BlockId, info: BlockInfo) -> bool:
        """Take the block's locks from threads that died; True if there were any."""
        if info.writer_thread is not None and not info.writer_thread.is_alive():
            log.warning("%s died while writing %s, which counts as failed", _name(info.writer_thread), block_id)
            self._drop(block_id, info)
            return True
        dead = [owner for owner in self._read_locks if isinstance(owner, Thread) and not owner.is_alive()]
        for owner in dead:
            log.warning("%s died while reading %s", _name(owner), ", ".join(map(str, self._release_all(owner))))
        return bool(dead)

    def _release_all(self, owner: Owner) -> list[BlockId]:
        written = list(self._write_locks.get(owner, ()))
        read = dict(self._read_locks.get(owner, {}))
        for block_id in written:
            info = self._infos[block_id]
            if info.state is BlockState.PENDING:
                self._drop(block_id, info)
            else:
                self._release_write(block_id, info, owner)
        for block_id, count in read.items():
            self._release_read(block_id, self._infos[block_id], owner, count)
        return written + list(read)

    def _release_write(self, block_id: BlockId, info: BlockInfo, owner: Owner) -> None:
        info.state, info.writer, info.writer_thread = BlockState.READY, None, None
        blocks = self._write_locks[owner]
        blocks.remove(block_id)
        if not blocks:
            del self._write_locks[owner]
        self._changed.notify_all()

    def _release_read(self, block_id: BlockId, info: BlockInfo, owner: Owner, count: int) -> None:
        info.reader_count -= count
        counts = self._read_locks[owner]
        counts[block_id] -= count
        if not counts[block_id]:
            del counts[block_id]
        if not counts:
            del self._read_locks[owner]
        self._changed.notify_all()

    def _drop(self, block_id: BlockId, info: BlockInfo) -> None:
        """Take out a block that somebody writes. Nobody reads it, so no read lock refers to it."""
        assert info.writer is not None
        self._release_write(block_id, info, info.writer)
        info.state = BlockState.FAILED
        del self._infos[block_id]


def _owner(task: TaskId | None) -> Owner:
    return current_thread() if task is None else task


def _name(owner: Owner) -> str:
    return f"thread {owner.name!r}" if isinstance(owner, Thread) else f"task {owner}"
