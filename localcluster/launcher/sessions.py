"""Ending a session: an executor leads one, and what its tasks start is in it, process groups of their own included.

What leaves it (``setsid``, ``start_new_session=True``, daemons) means to outlive its parent and does, as in PySpark.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

import psutil

from localcluster.launcher.forking import kill


def end_sessions(leaders: Collection[int]) -> None:
    """SIGKILL every process in the sessions of these leaders, whether those live or not.

    Raises OSError without a descriptor to look at the processes; those of the leader's own group are dead even then.

    Again until there are no further ones: a process may have forked after the look and before it died. Those that were
    seen may stay for long, as zombies of a parent that does not wait for them.
    """
    for leader in leaders:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            os.killpg(leader, signal.SIGKILL)
    seen: set[int] = set()
    while leaders and (found := {pid for pid in psutil.pids() if _session(pid) in leaders} - seen):
        for pid in found:
            kill(pid, signal.SIGKILL)
        seen |= found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # gone meanwhile; some systems tell nothing of other users' processes
        return None
