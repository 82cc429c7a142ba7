"""How new entries come into a cache: room is reserved, a file is written aside, and then it is the entry.

Covers what each program has reserved, and what becomes of that when it ends. Who makes room for it is `mover`. Handlers
run under the server's lock; where room must be made first, in the mover's thread.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from localcluster.base.side_thread import SideThread
from localcluster.cache import entry_file
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import CacheIndex, Entry, on_disk
from localcluster.cache.mover import Mover, try_to_unlink
from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer
from storage.block_id import CacheBlockId

log = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[Any], object]


class _Reserved(NamedTuple):
    program: int
    tier: Tier
    size: int


class Intake:
    """Programs go by their numbers. ``on_stored(block_id)`` is called, under the lock, when an entry is there."""

    def __init__(
        self,
        home: CacheHome,
        index: CacheIndex,
        mover: Mover,
        side: SideThread,
        lock: threading.RLock,
        on_stored: Callable[[CacheBlockId], object],
    ) -> None:
        self._home = home
        self._index = index
        self._mover = mover
        self._side = side
        self._lock = lock
        self._on_stored = on_stored
        self._programs: set[int] = set()
        self._reserved: dict[str, _Reserved] = {}  # {path of a file that is being written}
        self.stored = 0

    def program_began(self, program: int) -> None:
        self._programs.add(program)

    def program_gone(self, program: int) -> None:
        self._programs.discard(program)
        for path in [path for path, reserved in self._reserved.items() if reserved.program == program]:
            self._give_back(path)

    def reserved(self) -> dict[Tier, int]:
        """Bytes."""
        return {tier: sum(on_disk(each.size) for each in self._reserved.values() if each.tier is tier) for tier in Tier}

    def store(self, program: int, message: m.StoreEntry, answer: Answer) -> None:
        self._admit(program, tuple(Tier), len(message.data), lambda path: self._write(program, message, answer, path))

    def reserve(self, program: int, message: m.ReserveEntry, answer: Answer) -> None:
        self._admit(program, (Tier.DISK,) if message.on_disk else tuple(Tier), message.size, answer)

    def abandon(self, program: int, message: m.AbandonEntry, answer: Answer) -> None:
        if self._is_of(message.path, program):
            self._give_back(message.path)

    def commit(self, program: int, message: m.CommitEntry, answer: Answer) -> None:
        block_id, path = cast(CacheBlockId, message.block_id), message.path
        answer(self._is_of(path, program) and self._commit(block_id, path, message.expires))

    def _is_of(self, path: str, program: int) -> bool:
        return path in self._reserved and self._reserved[path].program == program

    def _admit(self, program: int, tiers: Sequence[Tier], size: int, go_on: Answer) -> None:
        """Go on with the path of a file that may be written, in the first tier that has, or makes, room; or None."""
        if tiers[:1] == (Tier.MEMORY,) and self._index.has_room(Tier.MEMORY, size):
            self._index.reserve(Tier.MEMORY, size)
            go_on(self._path(program, Tier.MEMORY, size))
        else:
            self._side.submit(lambda: self._make_room(program, tiers, size, go_on))

    def _make_room(self, program: int, tiers: Sequence[Tier], size: int, go_on: Answer) -> None:
        """In the mover's thread."""
        path = None
        try:
            for tier in tiers:
                if self._mover.make_room(tier, size):
                    with self._lock:
                        path = self._path(program, tier, size)
                    break
        finally:
            go_on(path)

    def _path(self, program: int, tier: Tier, size: int) -> str | None:
        if program not in self._programs:  # it ended while others made room for it
            self._index.release(tier, size)
            return None
        path = os.path.join(self._home.aside(tier), uuid.uuid4().hex)
        self._reserved[path] = _Reserved(program, tier, size)
        return path

    def _write(self, program: int, message: m.StoreEntry, answer: Answer, path: str | None) -> None:
        """Into memory at once, where there is room, and else in the mover's thread."""
        if path is None:
            answer(False)
            return
        try:
            entry_file.write_pieces(path, [message.data], pinned=message.pinned)
        except OSError as error:
            log.warning("%s was not written: %s", path, error)
            self._write_elsewhere(program, message, answer, path)
            return
        with self._lock:
            if self._is_of(path, program):
                answer(self._commit(cast(CacheBlockId, message.block_id), path, message.expires))
            else:  # it ended meanwhile
                try_to_unlink(path)

    def _write_elsewhere(self, program: int, message: m.StoreEntry, answer: Answer, path: str) -> None:
        tiers = (Tier.DISK,) if self._home.tier_of(path) is Tier.MEMORY else ()
        with self._lock:
            if self._is_of(path, program):
                self._give_back(path)
            self._admit(program, tiers, len(message.data), lambda other: self._write(program, message, answer, other))

    def _give_back(self, path: str) -> None:
        reserved = self._reserved.pop(path)
        self._index.release(reserved.tier, reserved.size)
        try_to_unlink(path)

    def _commit(self, block_id: CacheBlockId, path: str, expires: float) -> bool:
        reserved = self._reserved.pop(path)
        self._index.release(reserved.tier, reserved.size)
        try:
            self._home.make_namespace(reserved.tier, block_id.namespace)
            status = os.stat(path)
            os_layer.rename(path, self._home.path(reserved.tier, block_id))
        except (OSError, CacheError) as error:
            log.warning("%s was not stored: %s", block_id, error)
            try_to_unlink(path)
            return False
        pinned = entry_file.is_pinned(status)
        before = self._index.put(block_id, Entry(reserved.tier, status.st_size, status.st_mtime, expires, pinned))
        if before is not None and before.tier is not reserved.tier:
            try_to_unlink(self._home.path(before.tier, block_id))
        self.stored += 1
        self._on_stored(block_id)
        return True
