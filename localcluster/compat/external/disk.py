"""Where external collections keep their spill files."""

from __future__ import annotations

import os
import tempfile
import uuid
import weakref
from collections.abc import Sequence

from localcluster.task.env import get_env
from protocol.errors import ContextError
from storage import os_layer
from storage.disk_block_manager import DiskBlockManager, configured_local_dirs


def disk_of(owner: object, directories: Sequence[str] = ()) -> DiskBlockManager:
    """A place for ``owner``'s files: below ``directories``, else with the files of the run that this process is
    part of, else in the local directories. It is removed with ``owner``; a run's goes with the run.
    """
    if not directories:
        try:
            return get_env().block_manager.disk_block_manager
        except ContextError:  # none runs
            pass
    parents = directories or configured_local_dirs([]) or [tempfile.gettempdir()]
    name = f"localcluster-external-{uuid.uuid4().hex}"
    for parent in parents:
        os_layer.make_directories(parent)
    weakref.finalize(owner, _remove, [os.path.join(parent, name) for parent in parents], os.getpid())
    return DiskBlockManager(parents, name)


def _remove(directories: Sequence[str], pid: int) -> None:
    if pid == os.getpid():  # a fork has the finalizer, too
        for directory in filter(os.path.exists, directories):  # they are made when something is spilled
            os_layer.remove_tree(directory)
