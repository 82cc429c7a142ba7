"""How the server makes room: entries go from memory to the disk, and from the disk away, the coldest first.

Runs in one thread of its own, since to move an entry takes as long as its bytes do. An entry that a process has mapped
would free no memory, so another one goes; when all are mapped, there is no room. The books are looked at under the
server's lock, files are copied without it: whoever commits a new entry of the same key meanwhile wins.
"""

from __future__ import annotations

import logging
import os
import uuid
from contextlib import AbstractContextManager

from localcluster.cache.entry_file import NOT_PINNED, PINNED, is_leased, is_pinned
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import CacheIndex, Entry
from protocol.errors import CacheError
from storage import os_layer
from storage.block_id import CacheBlockId

log = logging.getLogger(__name__)


class Mover:
    """``index`` is guarded by ``lock``. For one thread."""

    def __init__(self, home: CacheHome, index: CacheIndex, lock: AbstractContextManager[object]) -> None:
        self._home = home
        self._index = index
        self._lock = lock
        self.moved = 0
        self.evicted = 0
        self.lost = 0  # at the end, of those that did not find their way to the disk
        self.moving: CacheBlockId | None = None
        self._written = ""  # the file that it is copied to

    def make_room(self, tier: Tier, size: int) -> bool:
        """Reserve so many bytes, after other entries have made room for them; False when they cannot."""
        spared: list[CacheBlockId] = []
        try:
            while True:
                with self._lock:
                    if self._index.has_room(tier, size):
                        self._index.reserve(tier, size)
                        return True
                    if not self._index.can_have_room(tier, size):
                        return False
                    block_id = self._index.take_coldest(tier)
                    entry = None if block_id is None else self._index.get(block_id)
                if block_id is not None and entry is not None:
                    spared.append(block_id)
                    if self._give_way(block_id, entry):
                        with self._lock:
                            self._index.put_back([spared.pop()])
                elif tier is not Tier.DISK or not self._see_who_is_pinned_no_more():
                    return False
        finally:
            with self._lock:
                self._index.put_back(spared)

    def _see_who_is_pinned_no_more(self) -> bool:
        """Whether there is one: of those on the disk nobody tells, but their files."""
        with self._lock:
            staying = self._index.staying()
        found = False
        for block_id, entry in staying:
            try:
                status = os.stat(self._home.path(Tier.DISK, block_id))
            except FileNotFoundError:
                self._forget(block_id, entry)
                found = True
                continue
            if not is_pinned(status):
                found = True
                with self._lock:
                    if self._index.get(block_id) is entry:
                        self._index.touch(block_id, status.st_mtime, False)
        return found

    def move_all_to_disk(self) -> None:
        """For the end of the server: mapped or not. What finds no room, or is not taken by the disk, goes away, unless
        it is pinned: that stays in memory.
        """
        with self._lock:
            entries = [(each, entry) for each in self._index.of_namespace(None) if (entry := self._index.get(each))]
        for block_id, entry in sorted(entries, key=lambda pair: pair[1].used_at):
            if entry.tier is Tier.MEMORY:
                self._to_disk_at_the_end(block_id, entry)

    def progress(self) -> tuple[object, ...]:
        """Changes as long as the disk takes anything."""
        return self.moved, self.evicted, self.lost, self._written, os_layer.size_of(self._written)

    def _give_way(self, block_id: CacheBlockId, entry: Entry) -> bool:
        """Whether there is more room now, or at least the books say more about the entry than before."""
        path = self._home.path(entry.tier, block_id)
        try:
            fd = os_layer.open_existing(path)
        except FileNotFoundError:  # somebody removed the file
            self._forget(block_id, entry)
            return True
        except OSError as error:
            log.warning("%s cannot make room: %s", path, error)
            return False
        try:
            status = os.fstat(fd)
            used_at, pinned = status.st_mtime, is_pinned(status)
            if used_at != entry.used_at or pinned != entry.pinned:
                with self._lock:
                    if self._index.get(block_id) is entry:
                        self._index.touch(block_id, used_at, pinned)
                return True
            if is_leased(fd):
                return False
            if entry.tier is Tier.MEMORY:
                return self._to_disk(block_id, entry, fd) or (not pinned and self._evict(block_id, entry))
            return self._evict(block_id, entry)
        finally:
            os_layer.let_go(fd)

    def _to_disk_at_the_end(self, block_id: CacheBlockId, entry: Entry) -> None:
        try:
            fd = os_layer.open_existing(self._home.path(Tier.MEMORY, block_id))
        except FileNotFoundError:  # somebody removed the file
            self._forget(block_id, entry)
            return
        except OSError as error:
            log.warning("%s stays in memory: %s", block_id, error)
            return
        try:
            if self._to_disk(block_id, entry, fd):
                return
            if is_pinned(os.fstat(fd)):
                log.warning("%s stays in memory: it is pinned, and the disk has no room for it", block_id)
            else:
                log.warning("%s is lost: the disk has no room for it", block_id)
                self.lost += 1
                self._evict(block_id, entry)
        finally:
            os_layer.let_go(fd)

    def _to_disk(self, block_id: CacheBlockId, entry: Entry, fd: int) -> bool:
        """``fd``: of the entry's file."""
        if not self.make_room(Tier.DISK, entry.size):
            return False
        source = self._home.path(Tier.MEMORY, block_id)
        target = self._home.path(Tier.DISK, block_id)
        aside = os.path.join(self._home.aside(Tier.DISK), uuid.uuid4().hex)
        self.moving, self._written = block_id, aside
        try:
            # With its times and permissions, which say when it was used, and if it is pinned.
            os_layer.copy_file(source, aside)
            self._home.make_namespace(Tier.DISK, block_id.namespace)
            with self._lock:
                if self._index.get(block_id) is not entry:
                    try_to_unlink(aside)  # a new one was committed, or it was removed
                    return True
                os_layer.rename(aside, target)
                os_layer.unlink(source)  # now, before a new one may get this name
                pinned = is_pinned(os.fstat(fd))  # which a program may have changed meanwhile
                os.chmod(target, PINNED if pinned else NOT_PINNED)
                self._index.put(block_id, Entry(Tier.DISK, entry.size, entry.used_at, entry.expires, pinned))
            self.moved += 1
            return True
        except (OSError, CacheError) as error:
            log.warning("%s was not moved to the disk: %s", block_id, error)
            try_to_unlink(aside)
            return False
        finally:
            self.moving = None
            with self._lock:
                self._index.release(Tier.DISK, entry.size)

    def _evict(self, block_id: CacheBlockId, entry: Entry) -> bool:
        with self._lock:
            if self._index.get(block_id) is entry:
                try_to_unlink(self._home.path(entry.tier, block_id))
                self._index.remove(block_id)
                self.evicted += 1
        return True

    def _forget(self, block_id: CacheBlockId, entry: Entry) -> None:
        with self._lock:
            if self._index.get(block_id) is entry:
                self._index.remove(block_id)


def try_to_unlink(path: str) -> bool:
    """Whether there was such a file, and it is gone."""
    try:
        return os_layer.unlink(path)
    except OSError as error:
        log.warning("%s stays: %s", path, error)
        return False
