"""The process that cleans up after everyone else is dead, however they died.

It waits for the lock of the scratch directory, which every process of the run inherits, so it gets it when the last
of them is gone, and then removes the directories and the ``/dev/shm`` files. In a good end the launcher has removed
them already and kills the janitor. It is in a session of its own, so that neither Ctrl-C nor a kill of the process
group reaches it.
"""

from __future__ import annotations

import contextlib
import os
import signal

from localcluster.launcher.bottom_lines import release_terminal, terminal_name
from localcluster.launcher.forking import fork, name_process, run_child
from storage.scratch import Scratch, remove_unowned, wait_until_unowned


def start_janitor(scratch: Scratch) -> int:
    """Fork the janitor of a scratch space; its pid."""
    pid = fork()
    if pid == 0:
        run_child(lambda: _clean_when_dead(scratch))
    return pid


def _clean_when_dead(scratch: Scratch) -> int:
    os.setsid()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    name_process("lc-janitor")
    scratch.disown()
    terminal = terminal_name(2)
    _close_inherited()
    wait_until_unowned(scratch.primary)
    remove_unowned(scratch.primary)
    release_terminal(terminal)
    return 0


def _close_inherited() -> None:
    """Keep nobody's pipe or terminal open: a shell that captures the run's output waits until the last holder is
    gone.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/dev/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # the descriptor that listed the directory is closed by now
                os.close(int(name))
