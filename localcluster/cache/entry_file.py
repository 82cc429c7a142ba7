"""The file of one entry: a header, the key, and the value as a block's bytes.

Little-endian; the value starts at the next multiple of 64 behind the key::

    header    64 bytes: magic with the version of the format, checksum of all up to the value, lengths of key and value,
              times of creation and expiry (seconds since the epoch; 0: never), Python's version, flags, zeros
    key       a pickle
    value     as `storage.serializer.dumps` lays it out, with a checksum of its own

A file is written aside and renamed, and never changed afterwards but for its time of modification, which is when it was
last used, and its permission to be written, which a pinned entry lacks. So who reads needs nobody's leave. A shared
``flock`` is the reader's lease: the kernel gives it back when the last process is dead or done that has the file
mapped, forks included. Nothing breaks without it; the server only moves other entries first, since this one's memory
would not come free.

What another version wrote is no entry for this one. Neither is, for another version of Python, a value that has code in
it. Does not cover where the file is (`home`) nor which of two is the entry (`reader`).
"""

from __future__ import annotations

import logging
import math
import mmap
import os
import pickle
import resource
import struct
import sys
import time
import weakref
from collections.abc import Callable, Iterable
from datetime import timedelta
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

from xxhash import xxh3_64_intdigest

from localcluster.cache.keys import Key, plain
from protocol.errors import CacheError, CorruptBlockError
from storage import os_layer
from storage.serializer import ALIGNMENT, BytesLike, deserialize, dumps_by_name, loads

log = logging.getLogger(__name__)

TimeToLive: TypeAlias = "float | timedelta | None"
"""Seconds, or a difference of times; None: as long as there is room."""

MAGIC = b"LCENTRY1"
SMALL = 32 << 10  # bytes of a file; it is read at once, a larger one is mapped
FOR_HEADER = 512  # bytes that most headers and keys are within
VERIFY_BELOW = 1 << 20  # bytes of a value that are checked at each read: 0.1 ms
PINNED, NOT_PINNED = 0o400, 0o600  # permissions of a file
HAS_CODE, RECORDS = 1, 2  # flags: there are functions or classes in it, as byte code; the value are many records

_HEADER = struct.Struct("<8sQIQddBBH16x")  # magic, checksum, key length, value length, created, expires, Python, flags
_CHECKED_FROM = 16
_PYTHON = sys.version_info[:2]
assert _HEADER.size == ALIGNMENT

_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()  # of this process; a fork has them too


class Header(NamedTuple):
    start: int  # of the value
    end: int  # of the value, and of the file
    created: float
    expires: float
    python: tuple[int, int]
    flags: int
    key: bytes  # pickled

    @property
    def is_expired(self) -> bool:
        return bool(self.expires) and self.expires <= time.time()

    @property
    def is_very_large(self) -> bool:
        return self.end - self.start > VERIFY_BELOW

    @property
    def is_readable(self) -> bool:
        """Not expired, nor made for another Python."""
        return not self.is_expired and (not self.flags & HAS_CODE or self.python == _PYTHON)


class Content(NamedTuple):
    """What is to be written: pieces to be laid end to end, some of them views of the value's own memory."""

    pieces: list[BytesLike]
    size: int
    expires: float


def seconds_of(ttl: TimeToLive) -> float | None:
    """None: for good. Raises CacheError for what is no time to live."""
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds is not None and (not isinstance(seconds, Real) or not 0 < seconds < math.inf):
        raise CacheError(f"ttl is a number of seconds, or a datetime.timedelta, more than 0, not {ttl!r}")
    return seconds


def content(key: Key, value: Any, ttl: TimeToLive = None) -> Content:
    """The file of an entry that holds this value, and is good for ``ttl`` (seconds). Raises SerializationError."""
    block, has_code = dumps_by_name(value)
    return _content(key, block, HAS_CODE if has_code else 0, ttl)


def content_of_records(key: Key, block: list[BytesLike], ttl: TimeToLive = None) -> Content:
    """The file of an entry whose value are records, serialised as a block of an RDD is."""
    # By value goes what cloudpickle puts together; where only the data has the word, the entry is for this Python, too.
    # Pickles are bytes; what else there is are the values' own buffers.
    has_code = any(b"cloudpickle" in piece for piece in block if isinstance(piece, bytes))
    return _content(key, block, RECORDS | (HAS_CODE if has_code else 0), ttl)


def _content(key: Key, block: list[BytesLike], flags: int, ttl: TimeToLive) -> Content:
    seconds = seconds_of(ttl)
    pickled = pickle.dumps(plain(key), protocol=5)
    now = time.time()
    expires = 0.0 if seconds is None else now + seconds
    start = _start(len(pickled))
    size = sum(map(len, block))
    fields = (len(pickled), size, now, expires, *_PYTHON, flags)
    head = bytearray(start)
    _HEADER.pack_into(head, 0, MAGIC, 0, *fields)
    head[ALIGNMENT : ALIGNMENT + len(pickled)] = pickled
    struct.pack_into("<Q", head, 8, xxh3_64_intdigest(memoryview(head)[_CHECKED_FROM:]))
    return Content([head, *block], start + size, expires)


def write(path: str, entry: Content, *, pinned: bool = False) -> None:
    """Make the file. Raises OSError; a file that was begun is for the caller to remove."""
    write_pieces(path, [b"".join(entry.pieces)] if entry.size <= SMALL else entry.pieces, pinned=pinned)


def write_pieces(path: str, pieces: Iterable[BytesLike], *, pinned: bool) -> None:
    """As `write`, of bytes that are a `Content`'s."""
    fd = os_layer.create(path)
    try:
        for piece in pieces:
            os_layer.write_all(fd, piece)
        if pinned:
            os.fchmod(fd, PINNED)
    finally:
        os_layer.close(fd)


def read_header(data: BytesLike) -> Header:
    """From the first bytes of a file. Raises CorruptBlockError, also for what another version wrote."""
    if len(data) < ALIGNMENT:
        raise CorruptBlockError("too short for an entry")
    magic, checksum, key, value, created, expires, *python, flags = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise CorruptBlockError("no entry, or one of another version")
    start = _start(key)
    if start > len(data) or xxh3_64_intdigest(memoryview(data)[_CHECKED_FROM:start]) != checksum:
        raise CorruptBlockError("the header or the key was changed")
    pickled = bytes(memoryview(data)[ALIGNMENT : ALIGNMENT + key])
    return Header(start, start + value, created, expires, (python[0], python[1]), flags, pickled)


def header_at(path: str) -> Header:
    """Raises CorruptBlockError, OSError."""
    fd = os_layer.open_existing(path)
    try:
        return _header(fd, os_layer.read_some(fd, FOR_HEADER))
    finally:
        os_layer.let_go(fd)


def _header(fd: int, begin: bytes) -> Header:
    """``begin`` is what was read of the file. Only a long key needs more."""
    try:
        return read_header(begin)
    except CorruptBlockError:
        start = _start(_HEADER.unpack_from(begin)[2]) if len(begin) >= ALIGNMENT else 0
        if begin[:8] != MAGIC or not len(begin) < start <= os_layer.file_size(fd):
            raise
        return read_header(os_layer.read_at(fd, start, 0))


class Found(NamedTuple):
    value: Any  # an iterator over records, if they are what the entry holds
    header: Header


def read(path: str, is_checked: Callable[[str, Header], bool], *, read_only: bool = False) -> Found | None:
    """The value in the file; None when there is no such file, or it is expired or made for another Python.

    A large value's buffers are views of the file, mapped privately: writable, and what is written nobody else sees.
    ``read_only``: all arrays are, large or small. ``is_checked(path, header)`` says of a very large one that its bytes
    were checked before, or need not be. Raises CorruptBlockError, DeserializationError, and OSError when the file
    cannot be read now.
    """
    try:
        fd = os_layer.open_existing(path)
    except FileNotFoundError:
        return None
    try:
        begin = os_layer.read_some(fd, SMALL)
        header = _header(fd, begin)
        if not header.is_readable:
            return None
        if header.end <= len(begin):
            data = memoryview(begin)[header.start : header.end]
            return Found(_deserialize(data, header, copy=not read_only, read_only=read_only), header)
        if os_layer.file_size(fd) < header.end:
            raise CorruptBlockError("the file was cut off")
        view = memoryview(_map(fd, header.end))[header.start :]
        checked = header.is_very_large and is_checked(path, header)
        how = {"writable": not read_only, "read_only": read_only}
        return Found(_deserialize(view, header, checked=checked, **how), header)
    finally:
        os_layer.let_go(fd)


def _map(fd: int, length: int) -> mmap.mmap | bytearray:
    """The file's bytes, writable, nobody else's. A mapping takes a descriptor as long as it lives, so a program that
    has very many gets copies.
    """
    if len(_mappings) >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2:
        return os_layer.read_at(fd, length, 0)
    try:
        os_layer.lock_shared(fd)  # refused while the server moves the entry: this mapping stays good all the same
    except OSError as error:
        log.debug("no lease, as the file system knows none: %s", error)
    mapping = os_layer.map_privately(fd, length, keep_open=True)
    _mappings.add(mapping)
    return mapping


def _deserialize(data: memoryview, header: Header, **how: bool) -> Any:
    return deserialize(data, **how) if header.flags & RECORDS else loads(data, **how)


def is_leased(fd: int) -> bool:
    """Whether a process has the file mapped. If not, this descriptor has the exclusive lock from now on."""
    try:
        return not os_layer.lock(fd, wait=False)
    except OSError:  # the file system knows no locks, so nobody has one
        return False


def is_pinned(status: os.stat_result) -> bool:
    """By the permissions of the entry's file."""
    return not status.st_mode & 0o200


def _start(key_length: int) -> int:
    end = ALIGNMENT + key_length
    return end + -end % ALIGNMENT
