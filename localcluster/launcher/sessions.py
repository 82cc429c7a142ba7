"""Ending a session: an executor leads one, and what its tasks start is in it, process groups of their own included.

What leaves it (``setsid``, ``start_new_session=True``, daemons) means to outlive its parent and does, as in PySpark.
The resource trackers of ``multiprocessing`` and joblib end by themselves when all others are dead: they remove the
semaphores, shared memory and directories that those left.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

import psutil

from localcluster.launcher.forking import kill


def end_sessions(leaders: Collection[int]) -> None:
    """SIGKILL every process in the sessions of these leaders, whether those live or not, but for resource trackers.

    Raises OSError without a descriptor to look at the processes; those of the leader's own group are dead even then.

    Again until there are no further ones: a process may have forked after the look and before it died. Those that were
    seen may stay for long, as zombies of a parent that does not wait for them.
    """
    seen: set[int] = set()
    try:
        while leaders and (found := {pid for pid in psutil.pids() if _session(pid) in leaders} - seen):
            for pid in found:
                if not _is_resource_tracker(pid):
                    kill(pid, signal.SIGKILL)
            seen |= found
    except OSError:
        for leader in leaders:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of zombies
                os.killpg(leader, signal.SIGKILL)
        raise


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # gone meanwhile; some systems tell nothing of other users' processes
        return None


def _is_resource_tracker(pid: int) -> bool:
    try:
        return any("resource_tracker import main" in argument for argument in psutil.Process(pid).cmdline())
    except psutil.Error:  # gone meanwhile, a zombie, another user's
        return False
