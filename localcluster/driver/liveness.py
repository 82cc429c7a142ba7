"""Why an executor is silent: gone, stopped, busy, or hung.

A task in a C extension can hold the GIL for minutes, and then no heartbeat is sent; that executor is not lost. Its
other threads wait for the GIL meanwhile, and look whether they may have it every 5 ms: each of them uses about 0.3 % of
a processor, which is no work. So a thread works if it uses `SHARE` of the time since work was last seen. A thread that
waits in the system for a disk, where it cannot be disturbed, works as well; one that waits for a signal, a lock or a
peer does not. A process that a debugger holds is not stopped, and is waited for as well.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

SHARE = 0.02  # of one processor
TICKS = 0.02  # seconds; processor times are told in steps of half of it


class Liveness(enum.Enum):
    GONE = "its process is gone"
    STOPPED = "its process is stopped"
    BUSY = "its process is using the processor"
    HUNG = "its process does nothing"


class Look(NamedTuple):
    """What the system says of a process at one moment."""

    is_there: bool
    is_stopped: bool = False  # by a signal
    is_held: bool = False  # by a debugger, or a thread of it by the system, for a disk
    used: Mapping[int, float] = {}  # {thread id: seconds of processor time so far}
    moved: int = 0  # bytes read from and written to disks so far


LookAt: TypeAlias = Callable[[int], Look]
"""Looks at the process with a number."""


def look_at(pid: int) -> Look:
    import psutil  # seldom needed in the driver, and slow to load

    try:
        process = psutil.Process(pid)
        status = process.status()
        if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return Look(is_there=False)
        threads = {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
        held = any(_status(thread) in (psutil.STATUS_DISK_SLEEP, psutil.STATUS_TRACING_STOP) for thread in threads)
        return Look(True, status == psutil.STATUS_STOPPED, held, threads, _moved(process))
    except psutil.NoSuchProcess:
        return Look(is_there=False)


def _status(thread: int) -> str | None:
    import psutil

    try:
        return psutil.Process(thread).status()
    except psutil.Error:  # it ended meanwhile, or the system knows no such numbers
        return None


def _moved(process: object) -> int:
    import psutil

    try:
        counters = process.io_counters()  # type: ignore[attr-defined]
    except (AttributeError, psutil.AccessDenied):  # no such counters here
        return 0
    return int(counters.read_bytes + counters.write_bytes)


class ProcessWatch:
    """What one process does, from one look to the next. Times are seconds of any steady clock."""

    def __init__(self, first: Look, now: float) -> None:
        self.worked_at: float | None = None
        """When it was last seen to work; the first look has nothing to compare with."""
        self._base, self._base_at = first, now  # what later looks are compared with
        self._last = first

    def see(self, look: Look, now: float) -> Liveness:
        """Stopped is what is seen so twice in a row and did nothing in between: others only pause."""
        before, self._last = self._last, look
        if not look.is_there:
            return Liveness.GONE
        if look.is_stopped and before.is_stopped and look.used == before.used:
            return Liveness.STOPPED
        if not self._works(look, now - self._base_at):
            return Liveness.HUNG
        self._base, self._base_at, self.worked_at = look, now, now
        return Liveness.BUSY

    def _works(self, look: Look, elapsed: float) -> bool:
        enough = max(SHARE * elapsed, TICKS)
        most = max((used - self._base.used.get(thread, 0.0) for thread, used in look.used.items()), default=0.0)
        return look.is_held or look.moved > self._base.moved or most >= enough
