"""How many entries go at once: their directories are put aside, and lose their files later.

So a namespace is gone for everybody in the moment in which the server takes the message, and is there anew for whatever
is put from then on. Files go in the mover's thread, since a disk may take long for many, and a slice at a time, for
others need room in between. What a server that was killed left aside, the next one removes.
"""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Iterator

from localcluster.base.side_thread import SideThread
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import CacheIndex
from localcluster.cache.mover import try_to_unlink
from storage import os_layer
from storage.scratch import is_removed

AT_ONCE = 500  # files


class Clearing:
    """``index`` is guarded by the server's lock, under which `clear` is called. ``side`` is the mover's thread."""

    def __init__(self, home: CacheHome, index: CacheIndex, side: SideThread) -> None:
        self._home = home
        self._index = index
        self._side = side
        self._going: deque[Iterator[None]] = deque()
        self.slices = 0  # that went

    def clear(self, namespace: str | None) -> int:
        """Remove all entries of a namespace, or of all; how many there were. Raises OSError, after which the books have
        entries without files, as when somebody removes those.
        """
        put_aside = [
            self._put_aside(folder.path, tier)
            for tier in Tier
            for folder in os_layer.scan(self._home.entries(tier))
            if namespace in (None, folder.name)
        ]
        cleared = self._index.of_namespace(namespace)
        for block_id in cleared:
            self._index.remove(block_id)
        for directory in put_aside:
            self.remove_later(directory)
        return len(cleared)

    def _put_aside(self, directory: str, tier: Tier) -> str:
        aside = os.path.join(self._home.aside(tier), uuid.uuid4().hex)
        os_layer.rename(directory, aside)
        return aside

    def remove_later(self, directory: str) -> None:
        self._going.append(_remove(directory))
        self._side.submit(self._go_on)

    def finish(self) -> None:
        """In the mover's thread, at its end."""
        while self._going:
            self._remove_slice()

    def _go_on(self) -> None:
        self._remove_slice()
        if self._going:
            self._side.submit(self._go_on)

    def _remove_slice(self) -> None:
        if self._going and next(self._going[0], self) is self:
            self._going.popleft()
        self.slices += 1


def _remove(directory: str) -> Iterator[None]:
    files = os_layer.scan(directory)
    for start in range(0, len(files), AT_ONCE):
        for file in files[start : start + AT_ONCE]:
            try_to_unlink(file.path)
        yield
    is_removed(os_layer.remove_tree, directory)
