"""Ending a task that runs: where an exception may be thrown into its thread, and where not.

Only the main thread is interrupted, by a signal, which also ends a sleep or a blocking read. The exception is raised
only while user code is on top of the stack: our own code, with the locks it holds, and imports must not be torn in the
middle. A signal that comes at another moment does nothing and is sent again. Tasks in further threads cannot be reached
so; they look at the kills between records. A task that ends neither way takes its executor with it
(``spark.task.reaper.killTimeout``).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import cloudpickle
import multiprocess
import psutil

from localcluster.base.own_frames import OWN_PACKAGES
from protocol.errors import TaskKilledError

REPEAT = 0.05  # seconds between two signals to a task that did not end
# Libraries do not tell by themselves whose call is running: who called them does.
_STANDARD_LIBRARY = (os.path.dirname(os.__file__) + os.sep, "<frozen ")
_IMPORTING = (os.path.join(os.path.dirname(os.__file__), "importlib") + os.sep, "<frozen importlib")
_OUR_LIBRARIES = tuple(os.path.dirname(str(module.__file__)) + os.sep for module in (cloudpickle, multiprocess, psutil))


class Kills:
    """The tasks that run in this executor and those of them that are to end."""

    def __init__(self) -> None:
        self._threads: dict[int, int] = {}  # {task id: identifier of its thread}
        self._reasons: dict[int, str] = {}  # {task id: why it is to end}
        self._main = threading.main_thread().ident

    @property
    def running(self) -> tuple[int, ...]:
        """Ids of the tasks that run."""
        return tuple(self._threads)

    def install(self) -> None:
        """Take the signal. In the main thread."""
        signal.signal(signal.SIGUSR1, self._on_signal)

    def begin(self, task_id: int) -> None:
        self._threads[task_id] = threading.get_ident()

    def end(self, task_id: int) -> str | None:
        """The task is over; why it was to be killed, if it was."""
        self._threads.pop(task_id, None)
        return self._reasons.pop(task_id, None)

    def reason(self, task_id: int) -> str | None:
        """Why a running task is to end, if it is."""
        return self._reasons.get(task_id)

    def kill(self, task_id: int, reason: str) -> None:
        """Have a running task end; does nothing when it has."""
        if task_id in self._threads:
            self._reasons[task_id] = reason
            if task_id not in self._threads:  # it ended meanwhile and took no reason with it
                self._reasons.pop(task_id, None)
            self.deliver()

    def deliver(self) -> bool:
        """Send the signal again if a task in the main thread is still to end; whether one is."""
        waiting = any(self._threads.get(task_id) == self._main for task_id in list(self._reasons))
        if waiting and self._main is not None:
            signal.pthread_kill(self._main, signal.SIGUSR1)
        return waiting

    def check(self, task_id: int, records: Iterator[Any]) -> Iterator[Any]:
        """The records of a task, as they are in the main thread, else with a look at the kills between them."""
        return records if threading.get_ident() == self._main else self._checked(task_id, records)

    def _checked(self, task_id: int, records: Iterator[Any]) -> Iterator[Any]:
        for record in records:
            if task_id in self._reasons:
                raise TaskKilledError(self._reasons[task_id])
            yield record

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        for task_id, reason in list(self._reasons.items()):
            if self._threads.get(task_id) == self._main and is_user_code(frame):
                raise TaskKilledError(reason)


def is_user_code(frame: FrameType | None) -> bool:
    """Whether the user's code runs, or a library that it called, and no import is under way."""
    decided = False
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_IMPORTING):
            return False
        if not decided:
            if name.startswith(OWN_PACKAGES):
                return False
            decided = not name.startswith(_OUR_LIBRARIES) and not _is_standard(name)
        frame = frame.f_back
    return decided


def _is_standard(name: str) -> bool:
    return name.startswith(_STANDARD_LIBRARY) and "-packages" not in name
