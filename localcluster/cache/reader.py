"""Reading the entries of a namespace, which asks nobody: the files are looked for in memory, then on the disk.

An entry that is moved to the disk is in memory, or on the disk, or both, so whoever looks in this order finds it. One
whose new value comes into memory goes from the disk; for its sake one looks into memory again at last.
A file that holds another key than it is named after is no entry.
"""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Iterator

from localcluster.cache import entry_file
from localcluster.cache.entry_file import Found, Header
from localcluster.cache.home import CacheHome, Tier, file_identity
from localcluster.cache.keys import digest_of
from protocol.errors import CorruptBlockError
from storage import os_layer

log = logging.getLogger(__name__)

TOUCH_EVERY = 1.0  # seconds between two notes, by one process, that an entry was used
REMEMBERED = 10_000  # entries


class EntryReader:
    """``read_only``: as for `entry_file.read`. Digests are those of `keys`. Thread-safe."""

    def __init__(self, home: CacheHome, namespace: str, read_only: bool) -> None:
        self._memory, self._disk = (os.path.join(home.entries(tier), namespace) for tier in (Tier.MEMORY, Tier.DISK))
        self._places = (self._memory, self._disk, self._memory)
        self._read_only = read_only
        self._touched: dict[str, float] = {}  # {path: time.monotonic()}
        self._checked: dict[str, float] = {}  # {path of a very large file on the disk: when its entry was created}

    def find(self, digest: str) -> Found | None:
        """None when there is no entry, or none that can be read. Raises DeserializationError."""
        for directory in self._places:
            path = f"{directory}/{digest}"
            try:
                found = entry_file.read(path, self._is_checked, read_only=self._read_only)
                if found is not None and not _is_of(found.header, digest):
                    raise CorruptBlockError("it is the entry of another key")
            except CorruptBlockError as error:
                log.warning("the entry in %s is lost: %s", path, error)
                self._remove(path)
                continue
            except OSError as error:
                log.warning("%s cannot be read: %s", path, error)
                continue
            if found is not None:
                self._note_use(path, found.header)
                return found
        return None

    def header(self, digest: str) -> Header | None:
        """Of the entry, if there is one that can be read."""
        headers = (_header_at(directory, digest) for directory in self._places)
        return next(filter(None, headers), None)

    def headers(self) -> Iterator[Header]:
        """Of all entries that can be read."""
        seen = set()
        for directory in (self._memory, self._disk):
            for file in os_layer.scan(directory):
                header = None if file.name in seen else _header_at(directory, file.name)
                if header is not None:
                    seen.add(file.name)
                    yield header

    def inode(self, digest: str) -> int:
        """Of the entry's file; 0: there is none."""
        found = (file_identity(f"{directory}/{digest}") for directory in self._places)
        return next(filter(None, found), (0, 0))[1]

    def _is_checked(self, path: str, header: Header) -> bool:
        """Whether the bytes of a very large value need not be looked at: memory does not change by itself."""
        return path.startswith(self._memory) or self._checked.get(path) == header.created

    def _note_use(self, path: str, header: Header) -> None:
        """The file's time of modification says to every process when it was used last."""
        if header.is_very_large:
            _remember(self._checked, path, header.created)
        now = time.monotonic()
        if now - self._touched.get(path, -TOUCH_EVERY) >= TOUCH_EVERY:
            _remember(self._touched, path, now)
            try:
                os.utime(path)
            except OSError as error:
                log.debug("%s was used, which is not noted: %s", path, error)

    def _remove(self, path: str) -> None:
        try:
            os_layer.unlink(path)
        except OSError as error:
            log.warning("%s stays: %s", path, error)


def _remember(times: dict[str, float], path: str, time_: float) -> None:
    if len(times) >= REMEMBERED:
        times.clear()
    times[path] = time_


def _header_at(directory: str, digest: str) -> Header | None:
    try:
        header = entry_file.header_at(f"{directory}/{digest}")
    except (OSError, CorruptBlockError):
        return None
    return header if header.is_readable and _is_of(header, digest) else None


def _is_of(header: Header, digest: str) -> bool:
    """Whether it is the entry of the key with this digest: files may be copied and renamed by whoever can."""
    return digest_of(pickle.loads(header.key)) == digest
