"""What this user's dead runs left behind, after a power cut, say: finding and removing it.

Covers ``localcluster clean``. Whether a run is dead its lock tells (`scratch`); a run that lives, or is just being
created, is not touched, nor is what another user owns. Several cleaners may run at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile

from storage import os_layer
from storage.scratch import LOCK, SHARED_MEMORY, is_removed, remove_unowned

log = logging.getLogger(__name__)


def remove_stale(parent: str | None = None) -> list[str]:
    """Remove what this user's dead runs left in `parent` (default: the temporary directory); the paths removed.

    A local directory can be given as well: it matters when the temporary directory was emptied by a restart.
    """
    parent = os.path.realpath(parent or tempfile.gettempdir())
    removed = []
    for name in sorted(os_layer.names_in(parent)):
        if _run_name().fullmatch(name):
            try:
                removed += remove_unowned(os.path.join(parent, name))
            except OSError as error:
                log.warning("cannot examine %s: %s", os.path.join(parent, name), error)
    return removed


def remove_stale_segments() -> list[str]:
    """Remove this user's ``/dev/shm`` files of runs whose directories are gone (an emptied temporary directory, or
    another one than ours) and which no process owns; what was removed.

    The lock file cannot be found by name then, but a process that owns the run has it open.
    """
    found = {name: match[0] for name in os_layer.names_in(SHARED_MEMORY) if (match := _run_name().match(name))}
    alive = _open_runs() if found else set()
    paths = [os.path.join(SHARED_MEMORY, name) for name, run in sorted(found.items()) if run not in alive]
    return [path for path in paths if os_layer.own_status(path) and is_removed(os_layer.unlink, path)]


def _open_runs() -> set[str]:
    """Names of the runs whose lock file some process has open."""
    runs = set()
    for process in filter(str.isdigit, os_layer.names_in("/proc")):
        directory = f"/proc/{process}/fd"
        with contextlib.suppress(OSError):  # it ended, or is another user's, who cannot own a run of ours
            for fd in os_layer.names_in(directory):
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    link = os.readlink(os.path.join(directory, fd))
                    if match := re.search(rf"/(localcluster-[^/]+)/{LOCK}", link):
                        runs.add(match[1])
    return runs


def _run_name() -> re.Pattern[str]:
    return re.compile(rf"localcluster-{os.getuid()}-[0-9a-f]{{12}}")
