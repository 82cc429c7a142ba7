"""The Python stacks of all processes of a run, asked for from outside: what ``localcluster dump`` prints.

Processes are found by the file that each has open (`base.own_stacks`): so a run is found wherever its directory is, and
no signal is sent to a process that has the number of one that ended. Each wait ends with one deadline for all. Linux
only. Does not cover programs that tasks started, and runs that have no context yet.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from localcluster.base.own_stacks import PREFIX, SIGNAL
from protocol.errors import ClusterError

DEADLINE = 5.0  # seconds for all processes together
POLL = 0.01  # seconds
LARGE = 1 << 20  # bytes of stacks that were asked for before, which may go
ROLES = ("launcher", "janitor", "driver")  # and then executors, by number

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
    _signal()
    runs = _runs()
    if pid is None:
        chosen = {run: members for run, members in runs.items() if f"/localcluster-{os.getuid()}-" in run}
    else:
        run = _run_of(pid)
        chosen = {run: runs[run]} if run in runs else {}
    if not chosen:
        raise ClusterError("no run of this user has a context now" if pid is None else "the run has ended")
    for run, members in chosen.items():
        yield f"=== run {run}"
        yield from _stacks(members)


def _stacks(members: list[Member]) -> Iterator[str]:
    asked = [(member, _Question(member.pid, member.file)) for member in sorted(members, key=lambda each: each.place)]
    deadline = time.monotonic() + DEADLINE
    for member, question in asked:
        yield f"\n--- {member.role}, process {member.pid}\n{question.answer(deadline).strip()}"
    if not any(member.role == "driver" for member in members):
        yield f"\n--- driver\nCannot be asked: its program uses signal {SIGNAL}, or its context is starting or ending."


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


class _Question:
    """Asked at once, so that many processes answer at the same time."""

    def __init__(self, pid: int, file: str) -> None:
        self._pid = pid
        self._file = file
        self._problem = ""
        self._from = 0  # place in the file
        self._blocked: set[str] = set()  # threads in which the signal was blocked anyway
        try:
            self._ask()
        except (OSError, psutil.NoSuchProcess):
            self._problem = "Has ended meanwhile."

    def _ask(self) -> None:
        state = psutil.Process(self._pid).status()
        if state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
            how = (
                "by a debugger" if state == psutil.STATUS_TRACING_STOP else f"; it goes on with kill -CONT {self._pid}"
            )
            self._problem = f"Is stopped{how}."
        elif not _has(_status(self._pid, "SigCgt")):  # by default it would end the process
            self._problem = f"Cannot be asked: it does not handle signal {SIGNAL} now."
        else:
            if os.path.getsize(self._file) > LARGE:
                os.truncate(self._file, 0)
            self._from = os.path.getsize(self._file)
            self._blocked = self._threads_that_block()
            os.kill(self._pid, _signal())

    def answer(self, deadline: float) -> str:
        try:
            while not self._problem and not self._is_answered():
                if time.monotonic() > deadline:
                    state = psutil.Process(self._pid).status()
                    return f"Does not answer within {DEADLINE:g} s; its state is {state}."
                time.sleep(POLL)
            return self._problem or self._text()
        except (OSError, psutil.NoSuchProcess):
            return "Has ended meanwhile."

    def _is_answered(self) -> bool:
        """There is text, and no thread is writing more: while one handles the signal, it is blocked there."""
        return os.path.getsize(self._file) > self._from and not self._threads_that_block() - self._blocked

    def _text(self) -> str:
        with open(self._file, errors="replace") as file:
            file.seek(self._from)
            return file.read()

    def _threads_that_block(self) -> set[str]:
        threads = os.listdir(f"/proc/{self._pid}/task")
        return {thread for thread in threads if _has(_status(f"{self._pid}/task/{thread}", "SigBlk"))}


def _status(process: int | str, field: str) -> int:
    """A mask of signals; empty when the process or thread has ended."""
    try:
        with open(f"/proc/{process}/status") as file:
            return next(int(line.split()[1], 16) for line in file if line.startswith(f"{field}:"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _has(mask: int) -> bool:
    return bool(mask >> (_signal() - 1) & 1)


def _signal() -> int:
    if SIGNAL is None:
        raise ClusterError("this system has no signal to ask a process for its stacks with")
    return SIGNAL
