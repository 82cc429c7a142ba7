"""What can happen to a process: its end, a stop, an exception, memory that goes, time that passes, silence, no fork.

Each acts in the process, and where threads matter in the thread, that came to the site. What is held up here goes on
when its plan is over, at the latest; the one exception is a process that is stopped for good, which is soon ended.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import NoReturn

from localcluster.base import os_layer
from localcluster.faults.exceptions import ON_PURPOSE, make_exception
from localcluster.faults.firing import Act, Firing
from localcluster.faults.keys import rule_text
from localcluster.faults.ledger import Ledger, nobody_in_the_books

_CHUNK = 16 << 20  # bytes that `hog` takes at once
_FOR_EVER = math.inf  # seconds
_LOOK = 0.1  # seconds between two looks at whether the plan is over

# Sleeps in code that is in no file of ours, and so is a user's to who looks: a kill ends it as it ends any task that
# sleeps (``executor.kills``).
_SLEEP = compile("sleep(seconds)", "<a fault>", "exec")

# So that the traceback of the task has none of our frames, as that of an exception in a user's code.
_RAISE = compile("raise exception", "<a fault>", "exec")

# Again and again, since the plan may be over before the process has stopped. Who goes on ends the shell.
_CONTINUE = """i=0
while [ $i -lt "$2" ] && [ -e "$3" ] && kill -0 "$1"; do sleep 0.1; i=$((i+1)); done
while kill -CONT "$1"; do sleep 0.1; done"""

# What lasts, with the books of the plan that says so.
_hoards: list[tuple[Ledger, list[bytearray]]] = []
_silences: list[tuple[Ledger, float]] = []  # until when, monotonic


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
    helper = None if seconds is None else _start_helper(seconds, firing.books.path)
    with nobody_in_the_books():
        os.kill(os.getpid(), signal.SIGSTOP)
    if helper is not None:
        helper.kill()
        helper.wait()


def _start_helper(seconds: float, books: str) -> subprocess.Popen[bytes]:
    command = ["/bin/sh", "-c", _CONTINUE, "sh", str(os.getpid()), str(round(seconds * 10)), books]
    return os_layer.start_program(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _raise(firing: Firing) -> None:
    text = f"{ON_PURPOSE} ({rule_text(firing.rule)})"
    exec(_RAISE, {"exception": make_exception(str(firing.rule.what.exception), text)})


def _hog(firing: Firing) -> None:
    limit = firing.rule.what.limit
    taken: list[bytearray] = []
    while limit is None or len(taken) * _CHUNK < limit:
        chunk = bytearray(_CHUNK)
        chunk[::4096] = b"\1" * len(range(0, _CHUNK, 4096))  # an untouched page takes nothing
        taken.append(chunk)
    _hoards.append((firing.books, taken))


def _slow(firing: Firing) -> None:
    """Also a fork that takes long: the launcher does nothing else meanwhile."""
    _hold_up(firing, firing.rule.what.seconds or 0.0)


def _hang(firing: Firing) -> None:
    if firing.rule.what.gil:
        firing.books.stand_still()
    else:
        _hold_up(firing, _FOR_EVER)


def _hold_up(firing: Firing, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not firing.books.is_over():
        exec(_SLEEP, {"sleep": time.sleep, "seconds": min(left, _LOOK)})


def _silence(firing: Firing) -> None:
    seconds = firing.rule.what.seconds
    _silences.append((firing.books, time.monotonic() + (_FOR_EVER if seconds is None else seconds)))


def is_silent() -> bool:
    """Whether the heartbeat is not to be sent."""
    return any(time.monotonic() < until for _, until in _silences)


def let_go() -> None:
    """End what plans made last that are over."""
    _hoards[:] = [hoard for hoard in _hoards if not hoard[0].is_over()]
    _silences[:] = [silence for silence in _silences if not silence[0].is_over()]


def _fail_fork(firing: Firing) -> NoReturn:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


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
    "delay_fork": _slow,
}
