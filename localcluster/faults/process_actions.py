"""What can happen to a process: its end, a stop, an exception, memory that goes, time that passes, silence, no fork.

Each acts in the process, and where threads matter in the thread, that came to the site. Nothing here waits for anything
to happen: what hangs is meant to.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import NoReturn

from localcluster.base import os_layer
from localcluster.faults.exceptions import make_exception
from localcluster.faults.firing import Act, Firing
from localcluster.faults.grammar import rule_text
from localcluster.faults.ledger import nobody_in_the_books

_CHUNK = 16 << 20  # bytes that `hog` takes at once
_FOR_EVER = 365 * 86400.0  # seconds

# Sleeps in code that is in no file of ours, and so is a user's to who looks: a kill ends it as it ends any task that
# sleeps (``executor.kills``).
_SLEEP = compile("sleep(seconds)", "<a fault>", "exec")

# So that the traceback of the task has none of our frames, as that of an exception in a user's code.
_RAISE = compile("raise exception", "<a fault>", "exec")

_CONTINUE = 'i=0; while [ $i -lt "$2" ] && kill -0 "$1"; do sleep 0.1; i=$((i+1)); done; kill -CONT "$1"'

_held: list[bytearray] = []  # what `hog` took
_silent_until = 0.0  # monotonic


def _kill(firing: Firing) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # the signal may come a moment later


def _exit(firing: Firing) -> NoReturn:
    os._exit(1 if firing.rule.what.code is None else firing.rule.what.code)


def _segfault(firing: Firing) -> None:
    ctypes.string_at(0)  # not a signal to ourselves: a fault in C code has no sender, and comes in this thread


def _stop(firing: Firing) -> None:
    """For a time: a shell continues us. Neither the launcher nor the janitor is asked, since every process can be
    stopped, and a thread of ours would be stopped as well. The shell ends with the process.
    """
    seconds = firing.rule.what.seconds
    helper = None if seconds is None else _start_helper(seconds)
    with nobody_in_the_books():
        os.kill(os.getpid(), signal.SIGSTOP)
    if helper is not None:
        helper.wait()


def _start_helper(seconds: float) -> subprocess.Popen[bytes]:
    command = ["/bin/sh", "-c", _CONTINUE, "sh", str(os.getpid()), str(round(seconds * 10))]
    return os_layer.start_program(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _raise(firing: Firing) -> None:
    text = f"a fault on purpose ({rule_text(firing.rule)})"
    exec(_RAISE, {"exception": make_exception(str(firing.rule.what.exception), text)})


def _hog(firing: Firing) -> None:
    limit = firing.rule.what.limit
    taken: list[bytearray] = []
    while limit is None or len(taken) * _CHUNK < limit:
        chunk = bytearray(_CHUNK)
        chunk[::4096] = b"\1" * len(range(0, _CHUNK, 4096))  # an untouched page takes nothing
        taken.append(chunk)
    _held.extend(taken)


def _slow(firing: Firing) -> None:
    _sleep(firing.rule.what.seconds or 0.0)


def _hang(firing: Firing) -> NoReturn:
    wait = ctypes.PyDLL(None).pause if firing.rule.what.gil else lambda: _sleep(_FOR_EVER)
    while True:
        wait()


def _sleep(seconds: float) -> None:
    exec(_SLEEP, {"sleep": time.sleep, "seconds": seconds})


def _silence(firing: Firing) -> None:
    global _silent_until
    seconds = firing.rule.what.seconds
    _silent_until = time.monotonic() + (_FOR_EVER if seconds is None else seconds)


def is_silent() -> bool:
    """Whether the heartbeat is not to be sent, as long as the process is armed."""
    return time.monotonic() < _silent_until


def _fail_fork(firing: Firing) -> NoReturn:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _delay_fork(firing: Firing) -> None:
    time.sleep(firing.rule.what.seconds or 0.0)  # as a fork that takes long: the launcher does nothing else meanwhile


ACTS: Mapping[str, Act] = {
    "kill": _kill,
    "exit": _exit,
    "segfault": _segfault,
    "stop": _stop,
    "raise": _raise,
    "hog": _hog,
    "slow": _slow,
    "hang": _hang,
    "silence": _silence,
    "fail_fork": _fail_fork,
    "delay_fork": _delay_fork,
}
