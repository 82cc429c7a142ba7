"""What programs and the server of the machine's cache say to each other, about entries of `storage.block_id`'s
`CacheBlockId`.

All are asked by a program and answered by the server, but where it says told. Reading an entry needs no message: it is
a file, which programs look for themselves (``localcluster.cache.entry_file``). Does not cover blocks of a run: see
`protocol.block_messages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from protocol.message import BlockIdLike, Report

VERSION = 1
"""Of what programs and the server say to each other. To be raised with each change of these messages, of
`protocol.wire`, and of what both make of the cache's directories; it is in the name of the server's socket.
"""


class Claim(Enum):
    """Who is to compute an entry that is missing."""

    READY = "ready"  # nobody: it is there
    YOURS = "yours"  # the one who asked; ended by `CommitEntry`, `ReleaseClaim`, or its connection's end
    TAKEN = "taken"  # another one is at it; ask again
    CIRCLE = "circle"  # the one who asked, though another one is at it, since that waits for the one who asked


@dataclass(frozen=True, slots=True)
class ClaimEntry(Report):
    """May the asker compute this entry? Triggered by `get_or_compute` that finds none. Answer: `Claim`; TAKEN only
    after ``patience`` seconds in which nothing changed.
    """

    block_id: BlockIdLike
    claimant: int  # the thread that asks, by a number that is its own in its process
    patience: float  # seconds
    useless: int  # inode of the file that was found and is of no use to the asker; 0: none was


@dataclass(frozen=True, slots=True)
class ReleaseClaim(Report):
    """The asker neither computes the entry any more nor waits for it. Triggered by a computation that raises, a value
    that cannot be kept, and a Ctrl-C while it waits. Told.
    """

    block_id: BlockIdLike
    claimant: int  # as in `ClaimEntry`


@dataclass(frozen=True, slots=True)
class StoreEntry(Report):
    """Write a small entry. Triggered by a put that makes no file itself. Answer: bool, False: there is no room."""

    block_id: BlockIdLike
    data: bytes  # the file
    expires: float  # seconds since the epoch; 0: never
    pinned: bool


@dataclass(frozen=True, slots=True)
class ReserveEntry(Report):
    """Where may so many bytes be written? Triggered by a put of what is larger. Answer: the path of a file to be made,
    on the disk when there is no room in memory, or when ``on_disk`` says that there was none; None when there is no
    room at all.
    """

    block_id: BlockIdLike
    size: int  # bytes of the file
    on_disk: bool


@dataclass(frozen=True, slots=True)
class AbandonEntry(Report):
    """The file of a reservation was not written in full, and is to be removed. Triggered by a put that fails. Told."""

    path: str


@dataclass(frozen=True, slots=True)
class CommitEntry(Report):
    """The file of a reservation is whole: it is the entry from now on, in the place of the one before. Triggered by a
    put. Answer: bool, False when the server does not know of the reservation, or could not give the file its name.
    """

    block_id: BlockIdLike
    path: str
    expires: float  # seconds since the epoch; 0: never


@dataclass(frozen=True, slots=True)
class RemoveEntries(Report):
    """Triggered by ``del`` and ``localcluster cache rm``. Answer: how many there were."""

    block_ids: tuple[BlockIdLike, ...]


@dataclass(frozen=True, slots=True)
class ClearCache(Report):
    """Remove all entries of a namespace, or of all, that there are now; what is committed later stays. Triggered by
    `clear`. Answer: how many there were; their room comes free a little later.
    """

    namespace: str | None


@dataclass(frozen=True, slots=True)
class GetCacheStatus(Report):
    """Triggered by ``localcluster cache status``. Answer: `CacheStatus`."""


@dataclass(frozen=True, slots=True)
class StopCache(Report):
    """Move what is in memory to the disk and end. Triggered by ``localcluster cache stop``. Answer: how many entries
    the disk did not take, when all others are there; then the server's process ends.
    """


@dataclass(frozen=True, slots=True)
class TierStatus:
    """What lies in one tier. Sizes are in bytes, as the file system counts them."""

    directory: str
    entries: int
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """The server, and what it did since it started. Times are in seconds."""

    pid: int
    uptime: float
    memory: TierStatus
    disk: TierStatus
    clients: int  # connections
    computing: int  # entries that somebody computes
    waiting: int  # who waits for them
    stored: int
    removed: int  # because programs said so
    expired: int
    moved: int  # from memory to disk
    evicted: int  # for want of room
