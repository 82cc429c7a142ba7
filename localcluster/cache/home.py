"""Where a cache lies: its directory on the disk, and the one in shared memory that belongs to it.

Both are the user's own, mode 0700: nobody else sees, fills or changes what is in them, and what is read from them was
written by the user. Laid out alike::

    <root>/entries/<namespace>/<digest>     an entry
          /aside/<something unique>         one that is being written
    <disk root>/lock                        flock of the server, as long as it lives
    <shared memory root>/owner              the disk root's path; a server holds a shared flock of it (`leftovers`)
    <shared memory root>/socket.<version>   where it listens, and what it speaks (`other_versions`)

Does not cover what an entry looks like: `entry_file`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from enum import Enum

from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer
from storage.block_id import CacheBlockId
from storage.scratch import SHARED_MEMORY

DIRECTORY_VARIABLE = "LOCALCLUSTER_CACHE_DIRECTORY"
"""Environment variable that names another directory than the user's usual one."""


OWNER = "owner"


class Tier(Enum):
    MEMORY = "memory"
    DISK = "disk"


class CacheHome:
    """The directories of one cache. ``directory`` is the one on the disk, None: the user's usual one.

    Two of the same directory are the same cache, and equal. Makes nothing: see `make`.
    """

    def __init__(self, directory: str | None = None) -> None:
        self.directory = os.path.realpath(directory or usual_directory())
        digest = hashlib.blake2b(os.fsencode(self.directory), digest_size=6).hexdigest()
        self.shared = os.path.join(shared_parent(), f"localcluster-cache-{os.getuid()}-{digest}")
        self.socket = os.path.join(self.shared, f"socket.{m.VERSION}")
        self.owner = os.path.join(self.shared, OWNER)
        self.lock = os.path.join(self.directory, "lock")
        self._roots = {Tier.DISK: self.directory, Tier.MEMORY: self.shared}
        self._entries = {tier: os.path.join(root, "entries") for tier, root in self._roots.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CacheHome) and other.directory == self.directory

    def __hash__(self) -> int:
        return hash(self.directory)

    def root(self, tier: Tier) -> str:
        return self._roots[tier]

    def entries(self, tier: Tier) -> str:
        """The directory that has one for each namespace."""
        return self._entries[tier]

    def aside(self, tier: Tier) -> str:
        return os.path.join(self._roots[tier], "aside")

    def path(self, tier: Tier, block_id: CacheBlockId) -> str:
        return f"{self._entries[tier]}/{block_id.namespace}/{block_id.digest}"

    def tier_of(self, path: str) -> Tier:
        """Of a path below one of the roots."""
        return Tier.MEMORY if path.startswith(self.shared + os.sep) else Tier.DISK

    def make(self) -> None:
        """Make the directories that are missing, and look at whose those are that are there; in shared memory last, so
        that nothing is left there when the disk's cannot be. Raises CacheError.
        """
        try:
            os_layer.make_directories(os.path.dirname(self.directory))
            for root in self._roots.values():
                _make_own(root)
                for name in ("entries", "aside"):
                    _make_own(os.path.join(root, name))
        except OSError as error:
            raise CacheError(
                f"the cache cannot use {error.filename or self.directory}: {error.strerror}; name another directory by "
                f"Cache(directory=...) or {DIRECTORY_VARIABLE}"
            ) from error

    def make_namespace(self, tier: Tier, namespace: str) -> None:
        """The directory that the entry's file is to be renamed into. Raises OSError, CacheError."""
        _make_own(os.path.join(self._entries[tier], namespace))

    def marks(self) -> tuple[object, ...]:
        """What a server stands on, to see whether it was taken from under it: by ``rm -rf ~/.cache``, say, or by a
        system that removes a user's files from shared memory when he logs out.
        """
        return tuple(map(file_identity, (self.lock, self.socket, self.aside(Tier.MEMORY), self.aside(Tier.DISK))))

    def require_own(self) -> None:
        """Raises CacheError when one of the directories is there and is not this user's alone."""
        for root in self._roots.values():
            if os.path.lexists(root):
                require_own(root)


def shared_parent() -> str:
    """Of the directories in shared memory."""
    return SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else tempfile.gettempdir()


def usual_directory() -> str:
    """The user's: ``$LOCALCLUSTER_CACHE_DIRECTORY``, else ``localcluster/cache`` in ``$XDG_CACHE_HOME`` or ~/.cache."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named:
        return named
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "localcluster", "cache")


def file_identity(path: str | int) -> tuple[int, int] | None:
    """What tells a file from a later one of the same name; None: there is none. Of a path or a descriptor."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make_own(path: str) -> None:
    try:
        os_layer.make_directory(path)
    except FileExistsError:
        require_own(path)


def require_own(path: str) -> None:
    """Raises CacheError unless it is a directory that this user alone can use."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise CacheError(f"{path} is to be a directory of the cache, and is none")
    if status.st_uid != os.getuid():
        raise CacheError(
            f"{path} belongs to user {status.st_uid}, and a cache is one user's alone; name another directory by "
            f"Cache(directory=...) or {DIRECTORY_VARIABLE}"
        )
    if status.st_mode & 0o077:
        raise CacheError(
            f"{path} has mode {status.st_mode & 0o777:o}, so others could read or change what is cached there: chmod "
            "700 it, or name another directory"
        )
