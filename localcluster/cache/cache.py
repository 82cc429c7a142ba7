"""`Cache`: a namespace of the machine's cache, as programs see it.

Covers reading, which asks nobody, and what is asked of the server: who computes, where to write. Does not cover keys
made of functions and their arguments: `memoize`.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from localcluster.cache import entry_file
from localcluster.cache.client import CacheClient, NoServer, ServerOptions
from localcluster.cache.entry_file import Content, Found
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import Key, block_id_of
from localcluster.cache.mover import try_to_unlink
from protocol import cache_messages as m
from protocol.errors import BlockIdError, CacheError, CacheKeyError, CorruptBlockError, DeserializationError
from storage import os_layer
from storage.block_id import CacheBlockId
from storage.serializer import deserialize, serialize

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 2.0  # seconds that the server may wait before it says that another one still computes
CLAIM_TIMEOUT = 15.0  # seconds for its answer, which is late on a busy machine
TOUCH_EVERY = 1.0  # seconds between two notes, by one process, that an entry was used
MODES = ("c", "r")


@dataclass
class CacheStatistics:
    """What this object did. ``computed``: missing values that were computed by this process, ``kept``: those stored."""

    hits: int = 0
    misses: int = 0
    computed: int = 0
    kept: int = 0


class _Made(NamedTuple):
    value: Any  # what was computed by this process


class Cache(MutableMapping[Key, Any]):
    """A mapping of keys (str, or tuples of plain values) to values, for every process and every run of this user.

    ``namespace`` has letters, digits and ``. _ -``. ``directory`` is where entries lie that are not in memory; one of
    your own is a cache of its own, for tests say. ``mode``: large buffers of a value (arrays, frames) are mapped, not
    copied; with "c", copy-on-write, a program may change what it got, pays for the pages that it touches, and nobody
    else sees it; with "r" they are read-only. ``max_memory`` and ``max_disk`` (bytes) and ``idle_timeout`` (seconds)
    are for the server, should this process be the one that starts it.

    Every value is the caller's own: to change it changes no entry. Thread-safe; pickles as where it leads.
    """

    def __init__(
        self,
        namespace: str = "default",
        *,
        directory: str | os.PathLike[str] | None = None,
        mode: str = "c",
        max_memory: int | None = None,
        max_disk: int | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        if mode not in MODES:
            raise CacheError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        try:
            CacheBlockId(namespace, "0" * 32)
        except (BlockIdError, TypeError) as error:
            raise CacheKeyError(str(error)) from None
        self.namespace = namespace
        self.mode = mode
        self.statistics = CacheStatistics()
        self._options = ServerOptions(max_memory, max_disk, idle_timeout)
        self._home = CacheHome(None if directory is None else os.fspath(directory))
        self._home.require_own()
        self._client = CacheClient.of(self._home, self._options)
        self._touched: dict[str, float] = {}  # {path: time.monotonic()}
        self._verified: set[tuple[str, int]] = (
            set()
        )  # (path, inode) of large files on the disk whose bytes were checked

    @property
    def directory(self) -> str:
        return self._home.directory

    def __repr__(self) -> str:
        return f"Cache({self.namespace!r}, directory={self.directory!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), self.namespace, self.directory, self.mode, self._options)

    def close(self) -> None:
        """End the connection to the server, if there is one. What was read stays good; the cache may be used again."""
        self._client.close()

    # --- a mapping ------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Key) -> Any:
        found = self._find(block_id_of(self.namespace, key))
        if found is None:
            raise KeyError(key)
        return found.value

    def __setitem__(self, key: Key, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self._remove(block_id_of(self.namespace, key)):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        """Whether there is an entry now; it may have gone a moment later, so `get` it at once if you need it."""
        block_id = block_id_of(self.namespace, key)  # type: ignore[arg-type]  # raises for what is no key
        return any(self._header(tier, block_id) for tier in Tier)

    def __iter__(self) -> Iterator[Key]:
        seen = set()
        for tier in Tier:
            for file in os_layer.scan(os.path.join(self._home.entries(tier), self.namespace)):
                if file.name not in seen:
                    seen.add(file.name)
                    header = self._header(tier, CacheBlockId(self.namespace, file.name))
                    if header is not None:
                        yield pickle.loads(header.key)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def put(self, key: Key, value: Any, *, ttl: float | None = None, pin: bool = False) -> None:
        """Store a value, for ``ttl`` seconds or for good. ``pin``: it is not evicted, though it may go to the disk.

        Raises SerializationError, and CacheError when there is no server or no room; the entry before is still there
        then.
        """
        self._store(block_id_of(self.namespace, key), entry_file.content(key, value, ttl))
        if pin:
            self.pin(key)

    def pin(self, key: Key, pinned: bool = True) -> None:
        """Have the entry stay until it is removed, or with False no more. Raises KeyError."""
        block_id = block_id_of(self.namespace, key)
        for tier in Tier:
            try:
                return os.chmod(self._home.path(tier, block_id), 0o400 if pinned else 0o600)
            except FileNotFoundError:
                continue
        raise KeyError(key)

    def clear(self) -> None:
        """Remove all entries of the namespace."""
        try:
            self._client.ask(m.ClearCache(self.namespace))
        except NoServer:
            for tier in Tier:
                for file in os_layer.scan(os.path.join(self._home.entries(tier), self.namespace)):
                    try_to_unlink(file.path)

    # --- one computes, all others wait ----------------------------------------------------------------------------

    def get_or_compute(self, key: Key, function: Callable[[], T], *, ttl: float | None = None) -> T:
        """The value of the key; if there is none, what ``function()`` gives, which is kept.

        Over all processes one computes, and the others wait. If it dies, the next one computes; what ``function``
        raises is raised here, and the next one tries. A value that cannot be kept (there is no server, or no room) is
        returned all the same. Raises SerializationError for a value that cannot be pickled.
        """
        made = self._find_or_make(key, function, lambda value: entry_file.content(key, value, ttl))
        return made.value  # type: ignore[no-any-return]

    def get_or_compute_records(
        self, key: Key, make_iterator: Callable[[], Iterable[T]], *, ttl: float | None = None
    ) -> Iterator[T]:
        """As `get_or_compute`, of a value that is many records: their bytes, at most, are in memory as a whole."""
        made = self._find_or_make(
            key,
            lambda: serialize(make_iterator()),
            lambda block: entry_file.content_of_records(key, block, ttl),
        )
        if isinstance(made, Found):
            return made.value  # type: ignore[no-any-return]
        found = self._find(block_id_of(self.namespace, key))  # as everybody else sees it: in place, if it was kept
        return deserialize(b"".join(made.value), copy=True, checked=True) if found is None else found.value

    def _find_or_make(self, key: Key, make: Callable[[], Any], content: Callable[[Any], Content]) -> Found | _Made:
        block_id = block_id_of(self.namespace, key)
        useless = 0
        while True:
            try:
                found = self._find(block_id)
                if found is not None:
                    return found
            except DeserializationError as error:
                log.warning("the entry %r of %s is computed again: %s", key, self.namespace, error)
                useless = self._inode(block_id)
            claim = self._claim(block_id, useless or self._inode(block_id))
            if claim is None or claim is m.Claim.CIRCLE:
                self.statistics.computed += 1
                return _Made(make())
            if claim is m.Claim.YOURS:
                return _Made(self._make(block_id, key, make, content))
            useless = 0

    def _claim(self, block_id: CacheBlockId, useless: int) -> m.Claim | None:
        """None when nobody can be asked."""
        question = m.ClaimEntry(block_id, threading.get_ident(), PATIENCE, useless)
        try:
            claim: m.Claim = self._client.ask(question, CLAIM_TIMEOUT)
        except NoServer:
            return None
        return claim

    def _make(self, block_id: CacheBlockId, key: Key, make: Callable[[], T], content: Callable[[T], Content]) -> T:
        self.statistics.computed += 1
        kept = False
        try:
            value = make()
            try:
                self._store(block_id, content(value))
                kept = True
            except CacheError as error:
                log.info("the value of %r was not kept: %s", key, error)
            return value
        finally:
            if not kept:
                self._client.tell(m.ReleaseClaim(block_id))

    # --- reading --------------------------------------------------------------------------------------------------

    def _find(self, block_id: CacheBlockId) -> Found | None:
        """None when there is no entry, or none that can be read. Raises DeserializationError."""
        for tier in Tier:
            path = self._home.path(tier, block_id)
            try:
                found = self._read(tier, path)
            except DeserializationError:
                raise
            except CorruptBlockError as error:
                log.warning("the entry in %s is lost: %s", path, error)
                self._remove(block_id)
                break
            except OSError as error:
                log.warning("%s cannot be read: %s", path, error)
                continue
            if found is not None:
                self.statistics.hits += 1
                self._touch(path)
                return found
        self.statistics.misses += 1
        return None

    def _read(self, tier: Tier, path: str) -> Found | None:
        if tier is Tier.MEMORY:
            return entry_file.read(path, views_writable=self.mode == "c", verify=False)
        inode = _inode_of(path)
        if not inode:
            return None
        found = entry_file.read(path, views_writable=self.mode == "c", verify=(path, inode) not in self._verified)
        self._verified.add((path, inode))
        return found

    def _touch(self, path: str) -> None:
        """Note that it was used: the file's time of modification says when that was last, to every process."""
        now = time.monotonic()
        if now - self._touched.get(path, 0.0) > TOUCH_EVERY:
            if len(self._touched) > 10_000:
                self._touched.clear()
            self._touched[path] = now
            try:
                os.utime(path)
            except OSError as error:
                log.debug("%s was used, which is not noted: %s", path, error)

    def _header(self, tier: Tier, block_id: CacheBlockId) -> entry_file.Header | None:
        try:
            header = entry_file.header_at(self._home.path(tier, block_id))
        except (OSError, CorruptBlockError):
            return None
        return None if header.is_expired else header

    def _inode(self, block_id: CacheBlockId) -> int:
        """Of the file that is the entry, and of no use to us; 0: there is none."""
        return next(filter(None, (_inode_of(self._home.path(tier, block_id)) for tier in Tier)), 0)

    # --- writing and removing -------------------------------------------------------------------------------------

    def _store(self, block_id: CacheBlockId, content: Content) -> None:
        """Raises CacheError."""
        on_disk = False
        while True:
            path = self._client.ask(m.ReserveEntry(block_id, content.size, on_disk))
            if path is None:
                raise CacheError(
                    f"no room for {content.size} bytes: what is in the cache in {self.directory} is pinned, in use, or "
                    "smaller; give it more by max_memory and max_disk"
                )
            try:
                entry_file.write(path, content)
                break
            except OSError as error:
                self._client.tell(m.AbandonEntry(path))
                if on_disk or self._home.tier_of(path) is Tier.DISK:
                    raise CacheError(f"cannot write {content.size} bytes to {path}: {error}") from error
                on_disk = True  # shared memory is full, of things that are not ours
            except BaseException:
                self._client.tell(m.AbandonEntry(path))
                raise
        if not self._client.ask(m.CommitEntry(block_id, path, content.expires)):
            raise CacheError(
                f"the server of the cache in {self.directory} changed while {content.size} bytes were written"
            )
        self.statistics.kept += 1

    def _remove(self, block_id: CacheBlockId) -> bool:
        try:
            return bool(self._client.ask(m.RemoveEntries((block_id,))))
        except NoServer:
            return sum(try_to_unlink(self._home.path(tier, block_id)) for tier in Tier) > 0  # both: any() would stop


def _inode_of(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _remake(kind: type[Cache], namespace: str, directory: str, mode: str, options: ServerOptions) -> Cache:
    return kind(
        namespace,
        directory=directory,
        mode=mode,
        max_memory=options.max_memory,
        max_disk=options.max_disk,
        idle_timeout=options.idle_timeout,
    )
