"""One Ctrl-C is one KeyboardInterrupt in the driver of a `run`, whichever way it comes.

A terminal sends SIGINT to the whole process group, somebody who stops the run by its process id to the launcher alone.
The launcher passes it on as SIGUSR2, since it cannot tell the two apart; the driver takes that for a SIGINT unless it
has had one of its own just before.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

SAME = 1.0  # seconds in which the two are one

_seen = float("-inf")  # seconds, monotonic: when the last SIGINT came


def install() -> None:
    """In the driver, before the job runs. A job that sets a SIGINT handler of its own gets both signals."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as under nohup
        signal.signal(signal.SIGINT, _on_interrupt)
        signal.signal(signal.SIGUSR2, _on_passed_on)
    else:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


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
