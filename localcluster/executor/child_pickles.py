"""How ``multiprocessing`` in a task sends the functions and classes of the job's script to processes of its own.

It pickles them by name, as what ``__main__`` has. But an executor's ``__main__`` is not the script, whose functions
came by value. So a function goes to a fork by its name, and the fork finds its own copy, as in a plain script: globals
that an initializer set there, or large ones that it shares with the task, are what they should be. Everything else,
and all that goes to processes that are started afresh (spawn, forkserver), goes by value once more.
"""

from __future__ import annotations

import os
import pickle
import sys
from multiprocessing import active_children
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import ForkingPickler
from types import FrameType, FunctionType
from typing import Any

from localcluster.executor.stateless import is_importable
from protocol import by_value

_executor = -1  # pid
_sent: dict[str, FunctionType] = {}  # what forks were given, for those that threads of pools fork later


def pickle_for_children() -> None:
    """In an executor, once."""
    global _executor
    _executor = os.getpid()
    _extend_pickler()


def _extend_pickler() -> None:
    ForkingPickler.reducer_override = _reduce  # type: ignore[method-assign, assignment]  # pickle calls it if it is there


def _reduce(pickler: ForkingPickler, obj: Any) -> Any:
    if not isinstance(obj, (type, FunctionType)) or is_importable(obj):
        return NotImplemented
    if isinstance(obj, FunctionType) and _is_known_to_forks(obj) and _has_only_forks():
        _sent[obj.__name__] = obj
        return _known_function, (obj.__name__,)
    return _load, (by_value.dumps(obj),)


def _is_known_to_forks(function: FunctionType) -> bool:
    """Not where this process is one, and the function goes back."""
    is_global = function.__globals__.get(function.__name__) is function
    return is_global and function.__module__ == "__main__" and os.getpid() == _executor


def _has_only_forks() -> bool:
    if get_spawning_popen() is not None:
        return False
    started = [getattr(child, "_popen", None) for child in active_children()]
    return all(popen is None or popen.method == "fork" for popen in started)


def _known_function(name: str) -> FunctionType:
    """In a fork: a function of the script that was running when it was forked."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        found = frame.f_globals.get(name)
        if isinstance(found, FunctionType) and found.__module__ == frame.f_globals["__name__"] == "__main__":
            return found
        frame = frame.f_back
    if name in _sent:
        return _sent[name]
    raise AttributeError(f"{name} of the job's script was not known to the task when process {os.getpid()} was forked")


def _load(pickled: bytes) -> Any:
    _extend_pickler()  # what this process sends back may be of the script, too
    return pickle.loads(pickled)
