"""`Cache`: a namespace of the machine's cache, as programs see it.

Covers what is asked of the server: who computes, where to write. Does not cover reading, which asks nobody (`reader`),
nor keys made of functions and their arguments (`memoize`).
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from localcluster.cache import entry_file, unkept
from localcluster.cache.cache_statistics import CacheStatistics
from localcluster.cache.client import CacheClient, NoServer, ServerOptions
from localcluster.cache.entry_file import NOT_PINNED, PINNED, Content, Found, TimeToLive
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import Key, block_id_of, digest_of
from localcluster.cache.mover import try_to_unlink
from localcluster.cache.reader import EntryReader
from protocol import cache_messages as m
from protocol.errors import BlockIdError, CacheError, CacheKeyError, DeserializationError
from protocol.message import Report
from storage import os_layer
from storage.block_id import CacheBlockId
from storage.serializer import deserialize, dumps_by_name, loads, serialize

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 2.0  # seconds that the server may wait before it says that another one still computes
CLAIM_TIMEOUT = 15.0  # seconds for its answer, which is late on a busy machine
MODES = ("c", "r")
_NOTHING = object()


class _Made(NamedTuple):
    value: Any  # what was computed by this process


class Cache(MutableMapping[Key, Any]):
    """A mapping of keys (str, or tuples of plain values) to values, for every process and every run of this user.

    ``namespace`` has letters, digits and ``. _ -``. ``directory`` is where entries lie that are not in memory; one of
    your own is a cache of its own, for tests say. ``mode`` is that of arrays in values, as numpy's ``mmap_mode``,
    not of the cache: entries are written in either. Large arrays are mapped, not copied; with "c", copy-on-write, a
    program may change what it got, pays for the pages that it touches, and nobody else sees it; with "r" all arrays,
    large or small, computed or read, are read-only. ``max_memory`` and ``max_disk`` (bytes, or texts such as "2g") and
    ``idle_timeout`` (seconds with no program connected and nothing in memory) are for the
    server, should this process be the one that starts it; one that has other limits is told in a warning.

    Every value is the caller's own: to change it changes no entry. Thread-safe; pickles as where it leads. A
    ``with`` statement closes it.
    """

    def __init__(
        self,
        namespace: str = "default",
        *,
        directory: str | os.PathLike[str] | None = None,
        mode: str = "c",
        max_memory: int | str | None = None,
        max_disk: int | str | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        if mode not in MODES:
            raise CacheError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        if not isinstance(namespace, str):
            raise CacheKeyError(f"a namespace is a text, its name, not {namespace!r}")
        try:
            CacheBlockId(namespace, "0" * 32)
        except BlockIdError as error:
            raise CacheKeyError(str(error)) from None
        self.namespace = namespace
        self.mode = mode
        self._counts = CacheStatistics()
        self._options = ServerOptions.said(max_memory, max_disk, idle_timeout)
        self._home = CacheHome(None if directory is None else os.path.expanduser(directory))
        self._home.require_own()
        self._connection: CacheClient | None = CacheClient.of(self._home, self._options)
        self._reader = EntryReader(self._home, namespace, read_only=mode == "r")

    @property
    def directory(self) -> str:
        return self._home.directory

    def __repr__(self) -> str:
        return f"Cache({self.namespace!r}, directory={self.directory!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), self.namespace, self.directory, self.mode, self._options)

    def statistics(self) -> CacheStatistics:
        """What this object did so far in this process; what programs together did, the server's status says."""
        return replace(self._counts)

    def close(self) -> None:
        """End the connection to the server, unless other objects of this process use it, too. What was read stays good;
        the cache may be used again.
        """
        self._connection = None

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop_server(self) -> int:
        """End the server, for all programs and namespaces that use this directory, with what is in memory on the disk;
        how many entries the disk did not take. Who needs a server afterwards starts one. Raises CacheError.
        """
        from localcluster.cache import command  # which few programs need

        self.close()
        return command.stop(self.directory) or 0

    @property
    def _client(self) -> CacheClient:
        client = self._connection
        if client is None:
            client = self._connection = CacheClient.of(self._home, self._options)
        return client

    # --- a mapping ------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Key) -> Any:
        found = self._reader.find(digest_of(key))
        if found is None:
            self._counts.misses += 1
            raise KeyError(key)
        self._counts.hits += 1
        return found.value

    def __setitem__(self, key: Key, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self._remove(block_id_of(self.namespace, key)):
            raise KeyError(key)

    def pop(self, key: Key, default: Any = _NOTHING) -> Any:
        """Of two that do so at once, both may get the value."""
        try:
            value = self[key]
        except KeyError:
            if default is _NOTHING:
                raise
            return default
        self._remove(block_id_of(self.namespace, key))
        return value

    def __contains__(self, key: object) -> bool:
        """Whether there is an entry now; it may have gone a moment later, so `get` it at once if you need it."""
        return self._reader.header(digest_of(key)) is not None  # type: ignore[arg-type]  # raises for what is no key

    def __iter__(self) -> Iterator[Key]:
        for header in self._reader.headers():
            yield pickle.loads(header.key)

    def __len__(self) -> int:
        return sum(1 for _ in self._reader.headers())

    def put(self, key: Key, value: Any, *, ttl: TimeToLive = None, pin: bool = False) -> None:
        """Store a value for ``ttl`` (seconds, a timedelta), or for good. ``pin``: it stays, in memory or on the disk.

        Raises SerializationError, and CacheError when there is no server or no room; the entry before is still there
        then.
        """
        self._store(block_id_of(self.namespace, key), entry_file.content(key, value, ttl), pinned=pin)

    def pin(self, key: Key, pinned: bool = True) -> None:
        """Have the entry stay until it is removed, or with False no more. Raises KeyError."""
        block_id = block_id_of(self.namespace, key)
        for tier in (Tier.MEMORY, Tier.DISK, Tier.MEMORY):  # as `reader` looks for it
            try:
                return os.chmod(self._home.path(tier, block_id), PINNED if pinned else NOT_PINNED)
            except FileNotFoundError:
                continue
        raise KeyError(key)

    def clear(self) -> None:
        """Remove all entries that the namespace has now. What others put meanwhile is there afterwards, or is not: it
        counts which of the two the server heard of first.
        """
        try:
            self._client.ask(m.ClearCache(self.namespace))
        except NoServer:
            for tier in Tier:
                for file in os_layer.scan(os.path.join(self._home.entries(tier), self.namespace)):
                    try_to_unlink(file.path)

    # --- results of functions -------------------------------------------------------------------------------------

    def memoize(
        self,
        function: Callable[..., Any] | None = None,
        *,
        ignore: Collection[str] = (),
        ttl: TimeToLive = None,
        version: Any = None,
    ) -> Any:
        """A decorator, with or without arguments: what the function gives is kept under its name, its code and all that
        it refers to, and its arguments by content. See `memoize.Memoized` for what it makes of the function.

        ``ignore`` names parameters that do not count, or what the code refers to by a name; ``ttl`` as for `put`;
        ``version`` is any value, to be changed when results should be computed anew. Raises TypeError for what cannot
        be memoized, such as a generator.
        """
        from localcluster.cache.memoize import Memoized  # which imports much, and few programs need

        seconds = entry_file.seconds_of(ttl)

        def memoized(function: Callable[..., Any]) -> Memoized:
            return Memoized(function, self, ignore, seconds, version)

        return memoized if function is None else memoized(function)

    def cache(self, func: Callable[..., Any] | None = None, ignore: Collection[str] | None = None) -> Any:
        """`memoize` under the name that `joblib.Memory` has for it, so that scikit-learn takes a `Cache` for one."""
        return self.memoize(func, ignore=ignore or ())

    # --- one computes, all others wait ----------------------------------------------------------------------------

    def get_or_compute(self, key: Key, function: Callable[[], T], *, ttl: TimeToLive = None) -> T:
        """The value of the key; if there is none, what ``function()`` gives, which is kept.

        Over all processes one computes, and the others wait. If it dies, the next one computes; what ``function``
        raises is raised here, and the next one tries. A value that cannot be kept (there is no server, or no room) is
        returned all the same. Raises SerializationError for a value that cannot be pickled.
        """
        ttl = entry_file.seconds_of(ttl)
        made = self._find_or_make(key, function, lambda value: entry_file.content(key, value, ttl))
        value: T = made.value if isinstance(made, Found) else self.as_found(key, made.value)
        return value

    def as_found(self, key: Key, value: T) -> T:
        """What all others get for a value that was just computed here: the same, but for ``mode="r"``, in whose values
        no array may be written to. Raises what reading it raises.
        """
        if self.mode == "c":
            return value
        found = self._reader.find(digest_of(key))
        if found is not None:
            return found.value  # type: ignore[no-any-return]
        block, _ = dumps_by_name(value)  # it was not kept
        return loads(b"".join(block), checked=True, read_only=True)  # type: ignore[no-any-return]

    def get_or_compute_records(
        self, key: Key, make_iterator: Callable[[], Iterable[T]], *, ttl: TimeToLive = None
    ) -> Iterator[T]:
        """As `get_or_compute`, of a value that is many records: their bytes, at most, are in memory as a whole."""
        ttl = entry_file.seconds_of(ttl)
        made = self._find_or_make(
            key,
            lambda: serialize(make_iterator()),
            lambda block: entry_file.content_of_records(key, block, ttl),
        )
        if isinstance(made, Found):
            return made.value  # type: ignore[no-any-return]
        found = self._reader.find(digest_of(key))  # as everybody else sees it: in place, if it was kept
        if found is not None:
            return found.value  # type: ignore[no-any-return]
        own = self.mode == "c"
        return deserialize(b"".join(made.value), copy=own, checked=True, read_only=not own)

    def _find_or_make(self, key: Key, make: Callable[[], Any], content: Callable[[Any], Content]) -> Found | _Made:
        block_id = block_id_of(self.namespace, key)
        useless = 0
        for attempt in itertools.count():
            try:
                found = self._reader.find(block_id.digest)
                if found is not None:
                    self._counts.hits += 1
                    return found
            except DeserializationError as error:
                if attempt == 0:
                    log.warning("the entry %r of %s is computed again: %s", key, self.namespace, error)
            if attempt == 0:
                self._counts.misses += 1
            claim = self._claim_and_make(key, block_id, useless, make, content)
            if isinstance(claim, _Made):
                return claim
            if claim is None or claim is m.Claim.CIRCLE:
                self._counts.computed += 1
                return _Made(make())
            useless = self._reader.inode(block_id.digest)  # before the next look: what is there later is another one
        raise AssertionError("not reached")

    def _claim_and_make(
        self, key: Key, block_id: CacheBlockId, useless: int, make: Callable[[], Any], content: Callable[[Any], Content]
    ) -> _Made | m.Claim | None:
        """The server's answer, None if there is none; and when the entry is ours to compute, what was made of it.

        Whatever raises, a Ctrl-C for one, the server hears that nobody is to be waited for any more.
        """
        claimant = threading.get_ident()
        left = False
        try:
            try:
                claim: m.Claim = self._client.ask(m.ClaimEntry(block_id, claimant, PATIENCE, useless), CLAIM_TIMEOUT)
            except NoServer:
                left = True
                return None
            if claim is m.Claim.YOURS:
                self._counts.computed += 1
                value = make()
                left = self._keep(key, block_id, lambda: content(value))
                return _Made(value)
            left = True
            return claim
        finally:
            if not left:
                self._client.tell(m.ReleaseClaim(block_id, claimant))

    def _keep(self, key: Key, block_id: CacheBlockId, content: Callable[[], Content]) -> bool:
        try:
            self._store(block_id, content())
        except NoServer as error:
            log.info("the value of %s was not kept: %s", block_id, error)
            return False
        except CacheError as error:
            unkept.warn(self.directory, self.namespace, key, error)
            return False
        return True

    # --- writing and removing -------------------------------------------------------------------------------------

    def _store(self, block_id: CacheBlockId, content: Content, *, pinned: bool = False) -> None:
        """Raises CacheError."""
        if content.size <= entry_file.SMALL:
            data = b"".join(content.pieces)
            if not self._client.ask(m.StoreEntry(block_id, data, content.expires, pinned)):
                raise self._no_room(content.size)
            self._counts.kept += 1
            return
        for _ in range(2):  # the server may end meanwhile, in good order, and there is another one
            path = self._write(block_id, content, pinned)
            if self._ask_or_leave(m.CommitEntry(block_id, path, content.expires)):
                self._counts.kept += 1
                return
        raise CacheError(f"{content.size} bytes were written to the cache in {self.directory}, and not taken there")

    def _write(self, block_id: CacheBlockId, content: Content, pinned: bool) -> str:
        """Write the file where the server has room for it; its path. Raises CacheError."""
        on_disk = False
        while True:
            path = self._reserve(block_id, content.size, on_disk)
            try:
                entry_file.write(path, content, pinned=pinned)
                return path
            except OSError as error:
                self._client.tell(m.AbandonEntry(path))
                if on_disk or self._home.tier_of(path) is Tier.DISK:
                    raise CacheError(f"cannot write {content.size} bytes to {path}: {error}") from error
                on_disk = True  # shared memory is full, of things that are not ours
            except BaseException:
                self._client.tell(m.AbandonEntry(path))
                raise

    def _reserve(self, block_id: CacheBlockId, size: int, on_disk: bool) -> str:
        path: str | None = self._ask_or_leave(m.ReserveEntry(block_id, size, on_disk))
        if path is None:
            raise self._no_room(size)
        return path

    def _ask_or_leave(self, message: Report) -> Any:
        try:
            return self._client.ask(message)
        except CacheError:
            raise
        except BaseException:
            self._client.close()  # the room that the server has for us by now would be lost
            raise

    def _no_room(self, size: int) -> CacheError:
        return unkept.no_room(size, self.directory, self._client.ask(m.GetCacheStatus()))

    def _remove(self, block_id: CacheBlockId) -> bool:
        try:
            return bool(self._client.ask(m.RemoveEntries((block_id,))))
        except NoServer:
            return sum(try_to_unlink(self._home.path(tier, block_id)) for tier in Tier) > 0  # both: any() would stop


def _remake(kind: type[Cache], namespace: str, directory: str, mode: str, options: ServerOptions) -> Cache:
    return kind(
        namespace,
        directory=directory,
        mode=mode,
        max_memory=options.max_memory,
        max_disk=options.max_disk,
        idle_timeout=options.idle_timeout,
    )
