"""Forking from the launcher: what a child must undo and what ties its life to its parent's.

Only the launcher forks, and it has one thread: forking a process with threads can deadlock the child.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable

from localcluster.base import os_layer
from localcluster.base.standard_streams import flush_standard_streams

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1

# Loaded before the first fork: the child should not do it again.
libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def fork() -> int:
    """Fork with the standard streams flushed. In the child (0): signals as a new Python process has them.

    Raises OSError when the system is short of processes or memory.
    """
    flush_standard_streams()
    pid = os_layer.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        gc.unfreeze()
    return pid


def die_with_parent(parent: int) -> None:
    """Have the kernel SIGKILL this process when its parent dies, even if it is stopped or stuck in C code (Linux only).

    Elsewhere an orphan ends when it next reads its pipes.
    """
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)


def kill(pid: int, signum: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        log.debug("process %d was gone", pid)


def run_child(main: Callable[[], int]) -> None:
    """Run ``main`` as the whole life of a forked child and leave without unwinding into the parent's frames."""
    code = 1
    try:
        code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        flush_standard_streams()
        os._exit(code)
