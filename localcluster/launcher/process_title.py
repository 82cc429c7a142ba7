"""What ``ps``, ``top`` and the like show of a process: its role and its run, in place of a command line that all share.

Linux only. The program's own process, the driver of library mode, keeps its name and command line.
"""

from __future__ import annotations

import ctypes

from localcluster.launcher.forking import libc

_PR_SET_NAME = 15
_ARG_START = 45  # place in /proc/self/stat, behind the command's name, of the address where the command line begins


def name_process(role: str, run: str) -> None:
    """As a short name ``lc-`` and the role (15 bytes at most), as a command line ``localcluster``, role and run.

    The latter is written over the one that the process started with, and is cut to its length.
    """
    if libc is None:
        return
    libc.prctl(_PR_SET_NAME, f"lc-{role.replace(' ', '-')}".encode()[:15])
    start, end = _command_line()
    # The last byte stays 0, else the kernel takes what lies behind it, the environment, for more.
    room = end - start - 1
    if room > 0:
        title = f"localcluster {role} of {run}".encode(errors="replace")[:room]
        ctypes.memmove(start, title.ljust(room, b"\0"), room)


def _command_line() -> tuple[int, int]:
    """Where in memory it begins and ends; both 0 where the system does not say."""
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:  # no descriptor left
        return 0, 0
    return int(fields[_ARG_START]), int(fields[_ARG_START + 1])
