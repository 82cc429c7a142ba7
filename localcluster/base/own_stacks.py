"""The Python stacks of this process for who asks from outside: `launcher.dump` asks and reads.

A process that can be asked has a file of the run open, whose name tells its role and process id. A thread of it answers
(`stack_server`). Where there is none, or the interpreter's lock is held, faulthandler writes the stack of a thread to
that file, on a signal to the thread.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys

from localcluster.base.stack_server import StackServer

log = logging.getLogger(__name__)

# One in the middle of the real-time signals: libraries and debuggers take some at both ends, programs SIGUSR1 and 2.
# None: other systems have no such signals; there the file takes crashes only.
SIGNAL = signal.SIGRTMIN + 17 if sys.platform == "linux" else None
PREFIX = "stacks-"

_current: OwnStacks | None = None
_is_ours = False  # the signal, from the first time on


def stack_file(directory: str, role: str, pid: int) -> str:
    return os.path.join(directory, f"{PREFIX}{role.replace(' ', '-')}-{pid}")


def make_stack_file(directory: str, role: str, pid: int) -> None:
    """For a process that does not own the directory, and so may not make files there: it could be removed meanwhile."""
    with contextlib.suppress(OSError):  # then that one goes without
        os.close(os.open(stack_file(directory, role, pid), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


class OwnStacks:
    """The stacks of this process, shown to who asks.

    The file lies in the primary directory of a run, and must be there if this process is not one of its owners.
    ``serves``: a thread answers; without it the process has to have one thread only, which sleeps nearly always.

    The process goes without what it has no descriptor or thread for, without the signal where the program uses that
    itself, and without all of it where it is part of a run already (a task made a context).
    """

    def __init__(self, directory: str, role: str, *, is_owner: bool = True, serves: bool = False) -> None:
        global _current, _is_ours
        self.fd: int | None = None
        self._server: StackServer | None = None
        self._takes_signal = False
        if _current is not None:
            return
        path = stack_file(directory, role, os.getpid())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if is_owner else 0)
        try:
            self.fd = os.open(path, flags, 0o600)
            _current = self
            if SIGNAL is None:
                return
            if _is_free(SIGNAL):
                faulthandler.register(SIGNAL, self.fd, all_threads=False)
                self._takes_signal = _is_ours = True
            if serves:
                self._server = StackServer(directory)
        except (OSError, RuntimeError) as error:
            log.debug("not all stacks of this process can be shown: %s", error)

    def close(self) -> None:
        """Idempotent. A signal that comes too late is for standard error: its default would end the process."""
        global _current, _is_ours
        if self.fd is None:
            return
        if self._server is not None:
            self._server.close()
        if SIGNAL is not None and self._takes_signal and not _has_python_handler(SIGNAL):
            try:
                faulthandler.register(SIGNAL, 2, all_threads=False)
            except ValueError:  # it is closed
                faulthandler.unregister(SIGNAL)
                _is_ours = False
        os.close(self.fd)
        self.fd = _current = None


def _in_fork() -> None:
    """Its parent's file is none of its business; what else was to be written there goes to standard error."""
    global _current
    if _current is not None and _current.fd is not None:
        with contextlib.suppress(OSError):  # it is closed
            os.dup2(2, _current.fd, inheritable=False)
    _current = None


os.register_at_fork(after_in_child=_in_fork)


def _is_free(signum: int) -> bool:
    """Whether the program neither handles nor ignores it, in C code or in Python. Raises OSError."""
    if _has_python_handler(signum):
        return False
    if _is_ours:
        return True
    with open("/proc/self/status") as file:
        masks = [line.split()[1] for line in file if line.startswith(("SigIgn:", "SigCgt:"))]
    return not any(int(mask, 16) >> (signum - 1) & 1 for mask in masks)


def _has_python_handler(signum: int) -> bool:
    """The program's: `faulthandler` sets its own behind Python's back."""
    return signal.getsignal(signum) is not signal.SIG_DFL
