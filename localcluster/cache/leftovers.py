"""What caches left in shared memory whose servers were killed, and whose directories on the disk are gone.

Covers the cache's part of ``localcluster clean``, and of a server's end. The directory in shared memory has a file that
says which one on the disk it belongs to; a server holds its shared lock. It is removed when nobody does and there is no
such directory. One without such a file is removed if nothing is in it and no server can be starting there; else nobody
can tell whose it is. What another user owns is left alone.
"""

from __future__ import annotations

import logging
import os
import re
import time
import uuid

from localcluster.cache.home import OWNER, CacheHome, file_identity, shared_parent
from protocol.errors import CacheError
from storage import os_layer
from storage.scratch import is_removed

log = logging.getLogger(__name__)

MOST = 1 << 16  # bytes of a path
STARTED_BY_NOW = 3600.0  # seconds after which a server that made a directory has said whose it is, or never will


def hold(home: CacheHome) -> int:
    """Say whose the directory in shared memory is; the descriptor that keeps it from being removed as long as it is
    open. Raises CacheError, OSError.
    """
    try:
        fd = os_layer.create(home.owner)
    except FileExistsError:
        fd = os_layer.open_existing(home.owner, writable=True)
    if not os_layer.lock_shared(fd) or file_identity(fd) != file_identity(home.owner):
        os_layer.let_go(fd)
        raise CacheError(f"{home.shared} is being removed by `localcluster clean`")
    if not os_layer.file_size(fd):
        os_layer.write_all(fd, os.fsencode(home.directory))
    return fd


def remove_leftovers() -> list[str]:
    """The directories that were removed."""
    parent, removed = shared_parent(), []
    for name in sorted(os_layer.names_in(parent)):
        path = os.path.join(parent, name)
        if re.fullmatch(rf"localcluster-cache-{os.getuid()}-[0-9a-f]{{12}}(-gone-[0-9a-f]{{32}})?", name):
            try:
                if os_layer.own_status(path) and remove_if_left(path):
                    removed.append(path)
            except OSError as error:
                log.warning("cannot examine %s: %s", path, error)
    return removed


def remove_if_left(path: str) -> bool:
    """A cache's directory in shared memory. Raises OSError."""
    if "-gone-" in path:  # of a cleaner that was killed
        return is_removed(os_layer.remove_tree, path)
    try:
        fd = os_layer.open_existing(os.path.join(path, OWNER))
    except FileNotFoundError:
        return _remove_if_empty(path)
    try:
        directory = os_layer.read_some(fd, MOST)
        if not directory or not os_layer.lock(fd, wait=False) or os_layer.size_of(os.fsdecode(directory)) is not None:
            return False
        gone = f"{path}-gone-{uuid.uuid4().hex}"  # at once, for a server may be starting
        os_layer.rename(path, gone)
        return is_removed(os_layer.remove_tree, gone)
    finally:
        os_layer.let_go(fd)


def _remove_if_empty(path: str) -> bool:
    """What a server made that could not start. A server that starts makes it anew when it has its lock."""
    status = os_layer.own_status(path)
    inner = os_layer.scan(path)
    if status is None or time.time() - status.st_mtime < STARTED_BY_NOW:
        return False
    if not all(each.is_dir(follow_symlinks=False) and not os_layer.names_in(each.path) for each in inner):
        return False
    directories = [*(each.path for each in inner), path]
    return all(is_removed(os_layer.remove_directory, each) for each in directories)  # not if something came into it
