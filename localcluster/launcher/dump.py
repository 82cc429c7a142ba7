"""The Python stacks of all processes of a run, asked for from outside: what ``localcluster dump`` prints.

Processes are found by the file that each has open (`base.own_stacks`): so a run is found wherever its directory is, and
no signal is sent to a process that has the number of one that ended. Linux only. Does not cover programs that tasks
started, and runs that have no context yet.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from localcluster.base.own_stacks import PREFIX, SIGNAL
from localcluster.base.stack_server import address
from localcluster.launcher.forking import libc
from protocol.errors import ClusterError

PATIENCE = 5.0  # seconds for a process's own thread to answer; a machine may have much else to do
DEADLINE = 5.0  # seconds for the other threads together
POLL = 0.005  # seconds
LARGE = 1 << 20  # bytes of stacks that were asked for before, which may go
ROLES = ("launcher", "janitor", "driver")  # and then executors, by number

_BIT = 1 << SIGNAL - 1 if SIGNAL else 0  # in the system's masks of signals
_FILE = re.compile(rf"(/.*/localcluster-(\d+)-[0-9a-f]{{12}})/{PREFIX}(.+)-(\d+)")


@dataclass(frozen=True)
class Member:
    """A process of a run. ``file`` takes its stacks."""

    pid: int
    role: str
    file: str

    @property
    def place(self) -> tuple[int, int]:
        """In the order in which people want to read."""
        if self.role in ROLES:
            return ROLES.index(self.role), 0
        return len(ROLES), int(self.role.split()[-1])


def stacks_of_runs(pid: int | None) -> Iterator[str]:
    """Text for each run: the one that ``pid`` is a process of; None: every run of this user. Raises ClusterError."""
    if SIGNAL is None or not hasattr(libc, "tgkill"):
        raise ClusterError("this system has no signal to ask a thread for its stack with")
    runs = _runs()
    if pid is None:
        chosen = {run: members for run, members in runs.items() if f"/localcluster-{os.getuid()}-" in run}
    else:
        run = _run_of(pid)
        chosen = {run: runs[run]} if run in runs else {}
    if not chosen:
        raise ClusterError("no run of this user has a context now" if pid is None else "the run has ended")
    for run, members in chosen.items():
        yield f"=== run {run}{_title(members)}"
        yield from _stacks(members)


def _title(members: list[Member]) -> str:
    """Application and driver, as the titles of its processes have it (`process_title`): people have several runs."""
    for member in members:
        with contextlib.suppress(psutil.Error):
            title = " ".join(psutil.Process(member.pid).cmdline()).rstrip()
            if title.startswith(f"localcluster {member.role} of "):
                return title[len(f"localcluster {member.role}") :]
    return ""


def _stacks(members: list[Member]) -> Iterator[str]:
    for member in sorted(members, key=lambda each: each.place):
        yield f"\n--- {member.role}, process {member.pid}\n{_stacks_of(member)}"
    if not any(member.role == "driver" for member in members):
        yield "\n--- driver\nCannot be asked: its context is starting or ending."


# --- who there is --------------------------------------------------------------------------------------------------


def _runs() -> dict[str, list[Member]]:
    """By primary directory, those whose files this user may see."""
    runs: dict[str, list[Member]] = {}
    for pid in psutil.pids():
        try:
            for match in _open_files(pid):
                if int(match[4]) == pid:  # else it is a fork of that one
                    runs.setdefault(match[1], []).append(Member(pid, match[3].replace("-", " "), match[0]))
        except OSError:  # it ended, or is another user's
            continue
    return runs


def _run_of(pid: int) -> str:
    """Raises ClusterError that says why there is none."""
    try:
        runs = [match[1] for match in _open_files(pid)]
    except PermissionError:
        raise ClusterError(f"process {pid} is another user's") from None
    except OSError:
        raise ClusterError(f"there is no process {pid}") from None
    if not runs:
        raise ClusterError(f"process {pid} belongs to no run that has a context now")
    return runs[0]


def _open_files(pid: int) -> Iterator[re.Match[str]]:
    """The files for stacks among a process's; raises OSError."""
    directory = f"/proc/{pid}/fd"
    for fd in os.listdir(directory):
        try:
            match = _FILE.fullmatch(os.readlink(os.path.join(directory, fd)))
        except FileNotFoundError:  # closed meanwhile
            continue
        if match is not None:
            yield match


# --- asking one ----------------------------------------------------------------------------------------------------


def _stacks_of(member: Member) -> str:
    try:
        state = psutil.Process(member.pid).status()
        if state == psutil.STATUS_TRACING_STOP:
            return "Is stopped by a debugger."
        if state == psutil.STATUS_STOPPED:
            return f"Is stopped; it goes on with kill -CONT {member.pid}."
        answer = _answer(member)
        if answer is None and len(os.listdir(f"/proc/{member.pid}/task")) > 1:
            return "Cannot be asked: it had no descriptor or thread left to answer with."  # a signal could kill it
        return answer or "\n".join(_thread_by_thread(member)) or f"Does not answer; its state is {state}."
    except (OSError, psutil.NoSuchProcess):
        return "Has ended meanwhile."


def _answer(member: Member) -> str | None:
    """What its own thread says; nothing when C code holds the interpreter's lock, None when there is no such thread."""
    answer, deadline = b"", time.monotonic() + PATIENCE
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, contextlib.suppress(OSError):
        connection.settimeout(PATIENCE)
        try:
            connection.connect(address(os.path.dirname(member.file), member.pid))
        except ConnectionRefusedError:
            return None
        while (part := connection.recv(1 << 16)) and time.monotonic() < deadline:
            answer += part
    return answer.decode(errors="replace")


def _thread_by_thread(member: Member) -> Iterator[str]:
    """By a signal to each, the main thread first. Threads that block it, as those of libraries do, are passed over."""
    deadline = time.monotonic() + DEADLINE
    if os.path.getsize(member.file) > LARGE:
        os.truncate(member.file, 0)
    for thread in sorted(map(int, os.listdir(f"/proc/{member.pid}/task"))):
        if not _is_busy(member.pid, thread) and time.monotonic() < deadline:
            text = _ask(member, thread, deadline)
            if text:
                yield f"{'Main thread' if thread == member.pid else f'Thread {thread}'}: {text}"


def _ask(member: Member, thread: int, deadline: float) -> str:
    """Nothing when the thread runs no Python, or has ended."""
    before, looks = os.path.getsize(member.file), 0
    if not _handles(member.pid):  # by default the signal would end the process
        return ""
    assert libc is not None
    libc.tgkill(member.pid, thread, SIGNAL)
    while looks < 2:  # between the arrival of a signal and its handler is a moment of which nothing is seen
        begun = os.path.getsize(member.file) > before  # looked at first: then the handler has ended if it does not run
        if _is_busy(member.pid, thread):
            looks = 0
        elif begun:
            return _text(member.file, before)
        else:
            looks += 1
        if time.monotonic() > deadline:
            return f"Does not answer within {DEADLINE:g} s."
        time.sleep(POLL)
    return ""


def _text(file: str, start: int) -> str:
    with open(file, errors="replace") as stacks:
        stacks.seek(start)
        return stacks.read().strip()


def _handles(pid: int) -> bool:
    return bool(_signals(f"/proc/{pid}", "SigCgt") & _BIT)


def _is_busy(pid: int, thread: int) -> bool:
    """Whether the signal has not arrived yet, or its handler runs, where it is blocked; or it is blocked anyway."""
    return bool(_signals(f"/proc/{pid}/task/{thread}", "SigPnd", "SigBlk") & _BIT)


def _signals(directory: str, *fields: str) -> int:
    """Masks of signals together; empty when the process or thread has ended."""
    try:
        with open(f"{directory}/status") as file:
            lines = [line.partition(":") for line in file]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return functools.reduce(operator.or_, (int(mask, 16) for name, _, mask in lines if name in fields), 0)
