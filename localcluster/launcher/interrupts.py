"""One Ctrl-C is one KeyboardInterrupt in the driver of a `run`, whichever way it comes.

A terminal sends SIGINT to the whole process group, somebody who stops the run by its process id to the launcher alone.
The launcher passes it on as SIGUSR2, since it cannot tell the two apart; the driver takes that for a SIGINT unless it
has had one of its own just before.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

INTERRUPTED = 130  # exit code of a `run` that a Ctrl-C ended
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}  # what people end programs with
RAISING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)  # by use
SAME = 1.0  # seconds in which the two are one

_seen = float("-inf")  # seconds, monotonic: when the last SIGINT came


def end_at_once() -> None:
    """Before there is a job: nothing is there that would have to be cleaned. A KeyboardInterrupt would show frames of
    ours, and is lost where Python ignores exceptions, as in weak references' callbacks while modules are imported.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as under nohup
        signal.signal(signal.SIGINT, _end)


def install() -> None:
    """In the driver, before the job runs. A job that sets a SIGINT handler of its own gets both signals."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _end):
        signal.signal(signal.SIGINT, _on_interrupt)
        signal.signal(signal.SIGUSR2, _on_passed_on)
    else:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Let a Ctrl-C, or what else a handler may raise from, wait for the end of a block that must not be left in the
    middle, and takes no long time. By the functions of C: every action takes the driver's lock, and those of `signal`
    look for an enum's member at each call, some 50 µs in all.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {int(signum): handler for signum in RAISING if callable(handler := _signal.getsignal(signum))}
    came: list[tuple[int, FrameType | None]] = []
    is_over = False

    def collect(signum: int, frame: FrameType | None) -> None:
        if is_over:  # it came while handlers are put back, of which one may raise
            handlers[signum](signum, frame)
        else:
            came.append((signum, frame))

    try:
        for signum in handlers:
            _signal.signal(signum, collect)
        yield
    finally:
        is_over = True
        try:
            for signum, handler in handlers.items():
                _signal.signal(signum, handler)
        finally:
            with ExitStack() as all_of_them:  # also when one raises
                for signum, frame in reversed(came):
                    all_of_them.callback(handlers[signum], signum, frame)


def _end(signum: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def _on_interrupt(signum: int, frame: FrameType | None) -> None:
    global _seen
    _seen = time.monotonic()
    raise KeyboardInterrupt


def _on_passed_on(signum: int, frame: FrameType | None) -> None:
    if time.monotonic() - _seen < SAME:
        return
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
