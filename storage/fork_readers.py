"""Forks of this process, which may go on reading shared pages through views that it has let go.

A fork has copies of its parent's views, and nobody counts them: neither the arena nor the master. So the death of a
view counts only when the forks that were made while it lived have ended; else its pages would be used for something
else under their eyes. A fork's end is seen by a pipe whose writing end it alone holds, and its own forks, who have the
views, too. Not seen is a fork that closes all its descriptors, as daemons do: it counts as ended.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import threading
from collections import deque
from collections.abc import Callable

from protocol.forks import free_in_forks
from storage import os_layer

_pid = os.getpid()
_keys = itertools.count()
_living: set[int] = set()  # keys of the views that live
_last = 0  # number of the last fork of this process
_under_way: set[int] = set()  # numbers of forks that are just being made
_lock = free_in_forks(threading.Lock())  # for whoever changes the next two
_forks: dict[int, int] = {}  # {number: reading end of its pipe}, those that may live
_waiting: deque[tuple[int, Callable[[], object]]] = deque()  # (last fork before a view that died was born, callback)
_mine = threading.local()  # the number and the writing end of the fork that this thread is making


def born() -> tuple[int, int, int]:
    """What `died` wants to know of the birth of a view: the process, a key, and the last fork without the view."""
    key = next(_keys)
    _living.add(key)
    return _pid, key, min(_under_way) - 1 if _under_way else _last


def died(pid: int, key: int, before: int, callback: Callable[[], object]) -> None:
    """Call ``callback``, now or when forks have ended; not in a fork, which has copies of the finalizers. Takes no
    lock: finalizers run anywhere.
    """
    if pid != _pid:
        return
    _living.discard(key)
    if any(number > before for number in list(_forks)):
        _waiting.append((before, callback))
    else:
        callback()


def settle() -> None:
    """Call back for the views whose last fork has ended. To be called now and then."""
    if _waiting:
        with _lock:
            _forget_ended()
            newest = max(_forks, default=0)
            for _ in range(len(_waiting)):
                before, callback = _waiting.popleft()
                if newest > before:
                    _waiting.append((before, callback))
                else:
                    callback()


def close_ended() -> None:
    """Close the pipes of forks that have ended."""
    if _forks:
        with _lock:
            _forget_ended()


def _forget_ended() -> None:
    poll = select.poll()
    numbers = {end: number for number, end in _forks.items()}
    for end in numbers:
        poll.register(end, 0)  # that nobody holds the writing end is told in any case
    for end, _ in poll.poll(0):
        del _forks[numbers[end]]
        os.close(end)


def _before() -> None:
    global _last
    _mine.fork = None
    close_ended()
    if not _living:
        return
    with contextlib.suppress(OSError), _lock:  # no descriptor is left: the fork is made all the same
        reading, writing = os_layer.pipe()
        number = max(_last, *_under_way, 0) + 1
        _under_way.add(number)
        _forks[number] = reading
        _mine.fork = number, writing


def _after_in_parent() -> None:
    global _last
    if _mine.fork is not None:
        number, writing = _mine.fork
        os.close(writing)
        with _lock:
            _last = max(_last, number)
            _under_way.discard(number)


def _after_in_child() -> None:
    """The writing end stays open as long as the process lives."""
    global _pid, _last
    for end in _forks.values():
        os.close(end)
    for table in (_forks, _waiting, _under_way, _living):
        table.clear()
    _pid, _last = os.getpid(), 0


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
