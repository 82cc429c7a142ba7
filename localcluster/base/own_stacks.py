"""The Python stacks of this process for who asks from outside: on a signal, faulthandler writes them to a file.

That needs neither the interpreter's lock nor any thread's help: it works in a deadlock and in a long call of C code.
`launcher.dump` asks and reads. While a process can be asked it has the file open, whose name tells role and process id.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys

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
    """The stacks of this process, written when a signal asks for them.

    Writes to a file in the primary directory of a run, which must be there if this process is not one of its owners.

    The process goes without where it has no descriptor for it, where the program uses the signal itself, and where it
    is part of a run already (a task made a context).
    """

    def __init__(self, directory: str, role: str, is_owner: bool = True) -> None:
        global _current, _is_ours
        self.fd: int | None = None
        if _current is not None:
            return
        path = stack_file(directory, role, os.getpid())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if is_owner else 0)
        try:
            if SIGNAL is not None and not _is_free(SIGNAL):
                return
            self.fd = os.open(path, flags, 0o600)
        except OSError as error:
            log.debug("the stacks of this process cannot be shown: %s", error)
            return
        if SIGNAL is not None:
            faulthandler.register(SIGNAL, self.fd)
        _current, _is_ours = self, True

    def close(self) -> None:
        """Idempotent. A signal that comes too late is for standard error: its default would end the process."""
        global _current, _is_ours
        if self.fd is None:
            return
        if SIGNAL is not None and not _has_python_handler(SIGNAL):
            try:
                faulthandler.register(SIGNAL, 2)
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
