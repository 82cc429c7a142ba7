"""What a forked process must not share with its parent, and what it would wait for in vain.

A fork has a copy of everything and owns nothing of it: pipes and half-written files are the parent's, and a lock that
another thread held at that moment would be held for ever, since that thread does not exist there. Whoever has such
things says so here. What a fork of a task may do, and how one ends that comes back into our code, is in
`localcluster.task.task_forks`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar


class Owner(Protocol):
    def disown(self) -> None:
        """Called in a forked process: let go of what is the parent's, so that the parent does not notice."""


class File(Protocol):
    def fileno(self) -> int: ...


L = TypeVar("L")

_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_owners: weakref.WeakSet[Owner] = weakref.WeakSet()
_end_stray: Callable[[], object] | None = None


def free_in_forks(lock: L) -> L:
    """Have a lock or condition be free in every forked process. What it guards may be half changed there, by a thread
    that will not go on: good enough to read.
    """
    _locks.add(lock)
    return lock


def disown_in_forks(owner: Owner) -> None:
    """Have `disown` called in every forked process, as long as the object lives. Locks are free by then."""
    _owners.add(owner)


@contextmanager
def lost_in_forks(file: File) -> Iterator[None]:
    """Processes that are forked meanwhile read nothing from the file, which would move the parent's place in it, and
    what they write is lost, also what is in a buffer at the fork.
    """
    redirection = _Redirection(file.fileno())
    disown_in_forks(redirection)
    try:
        yield
    finally:
        redirection.fd = -1


class _Redirection:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def disown(self) -> None:
        if self.fd >= 0:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, self.fd, inheritable=False)
            os.close(null)


def stop_strays() -> None:
    """To be called before a change that the parent would see, by code that a fork may come back to: it ends then."""
    if _end_stray is not None:
        _end_stray()


def set_end_of_strays(end: Callable[[], object] | None) -> None:
    """From now on `stop_strays` calls ``end``, which does not return; None: this process is nobody's stray."""
    global _end_stray
    _end_stray = end


def _forked() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # as the standard library's own modules do; a new lock would not reach who waits for it
    for owner in list(_owners):
        owner.disown()


os.register_at_fork(after_in_child=_forked)
