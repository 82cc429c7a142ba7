"""What a bench starts, together with all that this starts in its turn, and how it is ended as a whole.

Ray, Dask and Spark start processes of many names, and some live on when the one that started them is killed. All of
them stay in the session of the first, so they are found by its number and by no name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

GRACE = 10  # seconds that processes have to end of themselves, and again to be gone once they are killed


def environment(directory: Path) -> dict[str, str]:
    """For the processes of a run: what they write goes to its directory, and numpy takes one core of each."""
    token = directory / "token"
    if not token.exists():
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
    return os.environ | {
        "TMPDIR": str(directory),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        # Ray listens on all of the machine's addresses. Without these it lets everybody in, or keeps a token at home.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def start(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own. The session's number is the process's id, also after it has ended."""
    with open(log, "wb") as out:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found


def end(session: int) -> None:
    """End all its processes, also those that nobody waits for."""
    for number in signal.SIGTERM, signal.SIGKILL:
        left = members(session)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        psutil.wait_procs(left, timeout=GRACE)
