"""The books of one armed plan: how many events each rule has seen, and what has fired, over all processes of the run.

A file in the run's scratch directory, which every process that is armed opens for itself. It starts with whether the
plan is over and with two numbers for each rule, events and firings, and then has a line for each firing. Who changes it
holds the file's `flock`, so counts are exact whoever counts; a firing is in the books before anything is done, so it
survives the SIGKILL that it may be, and a replacement knows what has fired before its time. Once the plan is over,
nothing fires and nothing is held up any more, also in a process that has not heard of it, and the file is gone. Does
not decide when a rule fires (`triggers`).
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

from localcluster.faults.keys import rule_text
from localcluster.faults.rule import Rule
from localcluster.faults.unwatched import unwatched
from protocol.errors import ClusterError
from protocol.events import FaultFired
from protocol.forks import disown_in_forks, free_in_forks
from storage import os_layer

LOCK_DEADLINE = 5.0  # seconds for another process to leave the books; only a stopped one stays in them
_PAUSE = 0.0002  # seconds between two looks at the lock
_LOOK = 200_000  # microseconds between two looks at whether the plan is over, of a process that stands still

_OVER = struct.Struct("=Q")  # whether the plan is over
_ENTRY = struct.Struct("=QQ")  # events, firings

_in_books = free_in_forks(threading.Lock())  # of all books of this process: one thread at a time


@contextmanager
def nobody_in_the_books() -> Iterator[None]:
    """No thread of this process holds the lock of any books meanwhile: it may be stopped, and others go on counting."""
    with _in_books:
        yield


class Ledger:
    """The books of a plan, as one process has them open. Thread-safe."""

    def __init__(self, fd: int, path: str, rules: Sequence[Rule]) -> None:
        self._fd = fd
        self.path = path
        self._rules = rules
        self._size = _OVER.size + _ENTRY.size * len(rules)
        self._counts = os_layer.map_file(fd, self._size, writable=True)
        self._read = self._size  # up to here `new_firings` has read
        disown_in_forks(self)

    @classmethod
    def create(cls, path: str, rules: Sequence[Rule]) -> Ledger:
        """Start the books of a plan that has rules. Raises OSError."""
        with unwatched():
            fd = os_layer.create(path)
            os_layer.write_all(fd, bytes(_OVER.size + _ENTRY.size * len(rules)))
            return cls(fd, path, rules)

    @classmethod
    def open(cls, path: str, rules: Sequence[Rule]) -> Ledger:
        """Open the books that another process started for the same rules. Raises OSError, FileNotFoundError when the
        plan is over.
        """
        with unwatched():
            return cls(os_layer.open_existing(path, writable=True), path, rules)

    def count(self, rule: int, fires: Callable[[int, int], bool], process: str, where: str) -> tuple[int, int, bool]:
        """Enter an event that a rule is about. ``fires(number, firings)`` says whether it fires, at the event of this
        number, counted from 1, when it had fired so often before; then that is entered as well.

        Returns the event's number, the firings so far, and whether this is one. Raises ClusterError when another
        process does not leave the books.
        """
        at = _OVER.size + rule * _ENTRY.size
        with self._alone():
            events, firings = _ENTRY.unpack_from(self._counts, at)
            events += 1
            is_firing = not self.is_over() and fires(events, firings)
            firings += is_firing
            if is_firing:
                self._append(json.dumps((rule, time.time(), process, where)) + "\n")
            _ENTRY.pack_into(self._counts, at, events, firings)
        return events, firings, is_firing

    def end(self) -> None:
        """Nothing fires from here on. Raises OSError, and ClusterError as `count` does."""
        with self._alone():
            _OVER.pack_into(self._counts, 0, 1)
            os_layer.unlink(self.path)

    def is_over(self) -> bool:
        """Whether nothing fires any more; also when these books were closed meanwhile."""
        try:
            return bool(_OVER.unpack_from(self._counts)[0])
        except ValueError:
            return True

    def stand_still(self) -> None:
        """Until the plan is over, with all threads of this process: a loop in C, which never lets go of the GIL."""
        pauses = map(
            ctypes.PyDLL(None).usleep, repeat(_LOOK)
        )  # each 0, or -1 after a signal: bytes that are 0 till then
        any(map(self._counts.__getitem__, pauses))

    def firings(self) -> list[int]:
        """How often each rule has fired."""
        return [_ENTRY.unpack_from(self._counts, at)[1] for at in range(_OVER.size, self._size, _ENTRY.size)]

    def has_fired(self) -> dict[str, bool]:
        """{rule as text: whether it has}; rules of the same text are one."""
        fired: dict[str, bool] = {}
        for rule, firings in zip(self._rules, self.firings(), strict=True):
            fired[rule_text(rule)] = fired.get(rule_text(rule), False) or firings > 0
        return fired

    def new_firings(self) -> list[FaultFired]:
        """What has fired since this was last asked, in any process. For one thread of one process."""
        with unwatched():
            size = os_layer.file_size(self._fd)
            if size == self._read:
                return []
            written = os_layer.map_file(self._fd, size)
            lines = written[self._read :]
            written.close()
        whole, _, _ = lines.rpartition(b"\n")
        self._read += len(whole) + 1 if whole else 0
        return [self._event(json.loads(line)) for line in whole.splitlines()]

    def close(self) -> None:
        """May be called again."""
        if self._fd >= 0:
            self._counts.close()
            os_layer.close(self._fd)
            self._fd = -1

    def disown(self) -> None:
        """In a fork, which would keep the parent's lock when that is killed."""
        if self._fd >= 0:
            self._counts.close()  # which has a duplicate of the descriptor before Python 3.13
            os.close(self._fd)
            self._fd = -1

    def _event(self, entry: tuple[int, float, str, str]) -> FaultFired:
        rule, at, process, where = entry
        return FaultFired(at, rule_text(self._rules[rule]), process, where)

    def _append(self, line: str) -> None:
        os.lseek(self._fd, 0, os.SEEK_END)
        os_layer.write_all(self._fd, line.encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with unwatched(), _in_books:
            self._lock()
            try:
                yield
            finally:
                os_layer.unlock(self._fd)

    def _lock(self) -> None:
        deadline = time.monotonic() + LOCK_DEADLINE
        while not os_layer.lock(self._fd, wait=False):
            if time.monotonic() > deadline:
                raise ClusterError(f"another process held the books of faults for {LOCK_DEADLINE:g} s")
            time.sleep(_PAUSE)
