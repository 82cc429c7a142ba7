"""Why an executor is silent: gone, stopped, busy, or hung.

A task in a C extension can hold the GIL for minutes, and then no heartbeat is sent; that executor is not lost.
"""

from __future__ import annotations

import enum


class Liveness(enum.Enum):
    GONE = "its process is gone"
    STOPPED = "its process is stopped"
    BUSY = "its process is using the processor"
    HUNG = "its process does nothing"


class CpuWatch:
    """Tells busy from hung by the processor time a process used since it was last looked at."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}  # {pid: seconds of processor time when last seen}

    def judge(self, pid: int) -> Liveness:
        """The first look at a silent process counts as busy: there is nothing to compare with yet."""
        import psutil  # seldom needed in the driver, and slow to load

        try:
            process = psutil.Process(pid)
            status = process.status()
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            self.forget(pid)
            return Liveness.GONE
        if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return Liveness.GONE
        if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
            return Liveness.STOPPED
        used = times.user + times.system
        before = self._used.get(pid)
        self._used[pid] = used
        return Liveness.BUSY if before is None or used > before else Liveness.HUNG

    def forget(self, pid: int) -> None:
        self._used.pop(pid, None)
