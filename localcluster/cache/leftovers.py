"""What caches left in shared memory whose servers were killed, and whose directories on the disk are gone.

Covers the cache's part of ``localcluster clean``. The directory in shared memory has a file that says which one on the
disk it belongs to; a server holds its shared lock. It is removed when nobody does and there is no such directory. What
has no such file is left alone, as nobody can tell whose it is; and so is what another user owns.
"""

from __future__ import annotations

import logging
import os
import re
import uuid

from localcluster.cache.home import OWNER, CacheHome, file_identity, shared_parent
from protocol.errors import CacheError
from storage import os_layer
from storage.scratch import is_removed

log = logging.getLogger(__name__)

MOST = 1 << 16  # bytes of a path


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
                if os_layer.own_status(path) and _remove(path):
                    removed.append(path)
            except OSError as error:
                log.warning("cannot examine %s: %s", path, error)
    return removed


def _remove(path: str) -> bool:
    if "-gone-" in path:  # of a cleaner that was killed
        return is_removed(os_layer.remove_tree, path)
    try:
        fd = os_layer.open_existing(os.path.join(path, OWNER))
    except FileNotFoundError:
        return False
    try:
        directory = os_layer.read_some(fd, MOST)
        if not directory or not os_layer.lock(fd, wait=False) or os_layer.size_of(os.fsdecode(directory)) is not None:
            return False
        gone = f"{path}-gone-{uuid.uuid4().hex}"  # at once, for a server may be starting
        os_layer.rename(path, gone)
        return is_removed(os_layer.remove_tree, gone)
    finally:
        os_layer.let_go(fd)
