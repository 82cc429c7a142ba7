"""What a test leaves behind: looks at processes, threads, descriptors and files of runs, before and after.

Covers child processes, threads, file descriptors, and files named ``localcluster*`` in shared memory and in the
temporary directory. Does not cover orphans whose parent died, nor memory. ``leak_check`` makes fixtures of it.

What a test leaves is given a grace time to go away by itself, because an end is often only seen a moment later (a
reader thread notices the closed pipe, the janitor removes a directory).
"""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

GRACE = 5.0  # seconds
POLL = 0.02  # seconds
SHARED_MEMORY = Path("/dev/shm")
FD_DIRECTORY = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"

RUN_NAME = re.compile(r"localcluster-\d+-[0-9a-f]{12}")

# Threads that other tools run for as long as they please: the time limit of the test itself, a logging listener.
ALLOWED_THREADS = ("pytest_timeout", "logging")


class Run(str):
    """The name of a run; a type of its own, to tell such keys from others."""


# --- one look at each kind of thing: what there is now, {key: how to name it to a person} ---------------------------


def child_processes() -> dict[object, str]:
    """Direct children by pid, zombies included: a child that nobody waited for is left behind too."""
    pids: list[int] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            pids += map(int, Path(f"/proc/self/task/{thread}/children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):  # no such file in this system, or a thread that ended meanwhile
        pids = [child.pid for child in psutil.Process().children()]
    return {pid: f"process {pid}" for pid in pids if pid not in tracker_numbers("_pid")}


def threads() -> dict[object, str]:
    return {
        thread: f"thread {thread.name!r} ({type(thread).__qualname__})"
        for thread in threading.enumerate()
        if not thread.name.startswith(ALLOWED_THREADS)
    }


def file_descriptors() -> dict[object, str]:
    """Open descriptors by number and target: a number that now leads elsewhere is a new one. Not the standard streams,
    which pytest turns this way and that.
    """
    found: dict[object, str] = {}
    for number in os.listdir(FD_DIRECTORY):
        try:
            target = os.readlink(f"/proc/self/fd/{number}") if sys.platform == "linux" else ""
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if int(number) > 2 and int(number) not in tracker_numbers("_fd"):
            found[number, target] = f"file descriptor {number} -> {target}"
    return found


def runs() -> dict[object, str]:
    """Runs that have files, by the name that all files of a run start with; and other files of ours. In shared memory,
    which other programs of the user have as well, those are the files with our process id in their names.
    """
    found: dict[object, str] = {}
    for directory in (SHARED_MEMORY, Path(tempfile.gettempdir())):
        for path in directory.glob("localcluster-*"):
            if match := RUN_NAME.match(path.name):
                found[Run(match[0])] = str(path)
            elif directory != SHARED_MEMORY or str(os.getpid()) in path.name.split("-"):
                found[Run(path.name)] = str(path)
    return found


# --- what those looks leave out -------------------------------------------------------------------------------------


def tracker_numbers(attribute: str) -> set[int | None]:
    """Pid or descriptor of the resource trackers: the standard library starts one at need and keeps it to the end."""
    modules = (sys.modules.get(f"{package}.resource_tracker") for package in ("multiprocessing", "multiprocess"))
    return {getattr(module._resource_tracker, attribute) for module in modules if module}


def is_alive(run: Run) -> bool:
    """Whether another process has a file of the run open or mapped; all processes of a run hold its lock file open.

    That may be another test session's on this machine. If it is one that the test left behind, then the look at the
    child processes says so.
    """
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
            maps = Path(f"/proc/{process.pid}/maps").read_text()
        except OSError:  # it ended, or it is another user's
            continue
        if run in maps or any(run in link for link in links):
            return True
    return False


def describe(key: object, name: str) -> str:
    """Say more about a process than its pid, as far as it can be asked."""
    if not isinstance(key, int):
        return name
    try:
        process = psutil.Process(key)
        name += f" ({process.status()})"
        return f"{name}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:  # gone by now; or a zombie, which has no command line
        return name


# --- the check ------------------------------------------------------------------------------------------------------


def everything() -> dict[object, str]:
    return {**child_processes(), **threads(), **file_descriptors(), **runs()}


def left_behind(before: dict[object, str], launcher: int | None) -> dict[object, str]:
    new = {key: name for key, name in everything().items() if key not in before}
    if launcher is not None:
        new = {key: name for key, name in new.items() if not may_be_a_contexts(key, launcher)}
    return {key: name for key, name in new.items() if not (isinstance(key, Run) and is_alive(key))}


def may_be_a_contexts(key: object, launcher: int) -> bool:
    """Whether it may be of a context that lives on, with this launcher: also pipes and sockets, whoever's they are."""
    if isinstance(key, tuple):
        _, target = key
        return not os.path.isfile(target) or RUN_NAME.search(target) is not None
    return key == launcher or (isinstance(key, threading.Thread) and key.name.startswith("localcluster-"))


def still_left_after_grace(before: dict[object, str], launcher: int | None = None) -> dict[object, str]:
    """What is left once everything had `GRACE` seconds to end; returns as soon as nothing is left.

    ``launcher``: the process id of that of a context that lives on. What may be the context's is not looked at.
    """
    deadline = time.monotonic() + GRACE
    left = left_behind(before, launcher)
    if left:
        gc.collect()  # what only a reference cycle (an exception's traceback, say) keeps open is not lost
    while left and time.monotonic() < deadline:
        time.sleep(POLL)
        now = left_behind(before, launcher)
        left = {key: name for key, name in now.items() if key in left}  # what came since is of others on this machine
    return left
