"""Calls of the operating system that fail on purpose: the actions ``fail``, ``short`` and ``full``, and their site.

The two doors (`storage.os_layer`, `localcluster.base.os_layer`) know nothing of faults. `set_door` puts in the place of
each of their functions one that comes to the site ``call`` before it does its work. All code calls the doors through
their modules, so a process without such a rule pays nothing, and a new function is covered as soon as it is there.
Rejected: a look at ``sites.armed`` in each function, which costs every process some 30 ns a call and can be forgotten.

Facts of the site: ``call`` (the function's name), ``path`` (that it was given, if it was), ``size`` (of a write: in
bytes), ``shared`` (whether a descriptor that it was given leads to shared memory). Calls of a door's functions among
themselves are calls, too: to fail `write` is to fail `write_all`.
"""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any

from localcluster.base import os_layer as processes
from localcluster.faults.firing import Act, Firing
from protocol.sites import Armed
from storage import os_layer as files
from storage.scratch import SHARED_MEMORY

SITE = "call"
DOORS: tuple[ModuleType, ...] = (files, processes)

_PATHS = ("path", "source", "parent")  # parameters that name what a call is about

_ANSWERS: Mapping[str, Any] = {"exists": False, "let_go": None, "remove_what_can_be": None}
"""Calls that raise no errors, and what they answer when the system refuses."""

_CLOSE = ("close", "let_go")  # the system closes a descriptor all the same


def calls_of(door: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """The functions that a door offers, by name."""
    for name, value in list(vars(door).items()):
        if isinstance(value, FunctionType) and value.__module__ == door.__name__ and not name.startswith("_"):
            yield name, value


def set_door(armed: Armed | None) -> None:
    """From now on the calls of this process, and of those it forks, come to ``armed`` first; None: to nobody."""
    for door in DOORS:
        for name, call in calls_of(door):
            call = inspect.unwrap(call)
            setattr(door, name, call if armed is None else _watched(name, call, armed))


def _watched(name: str, call: Callable[..., Any], armed: Armed) -> Callable[..., Any]:
    facts_of = _facts_of(name, call)

    @wraps(call)
    def watched(*arguments: Any, **options: Any) -> Any:
        try:
            taken = armed(SITE, call=name, **facts_of(*arguments, **options))
        except OSError:
            if name in _CLOSE:
                call(*arguments)
            if name in _ANSWERS:
                return _ANSWERS[name]
            raise
        if taken is not None and name == "write":
            fd, data = arguments
            return call(fd, memoryview(data).cast("B")[:taken])
        return call(*arguments, **options)

    return watched


def _facts_of(name: str, call: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    signature = inspect.signature(call)
    path = next((known for known in _PATHS if known in signature.parameters), None)

    def facts(*arguments: Any, **options: Any) -> dict[str, Any]:
        given = signature.bind(*arguments, **options).arguments
        return {
            "path": None if path is None else given[path],
            "size": memoryview(given["data"]).nbytes if name == "write" else None,
            "shared": "fd" in given and _leads_to(given["fd"]).startswith(SHARED_MEMORY),
        }

    return facts


def _leads_to(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # no such descriptor, or no such file system
        return ""


# --- actions ---------------------------------------------------------------------------------------------------------


def fail(firing: Firing) -> None:
    """The system refuses: OSError with the rule's errno, and with the path if the call was given one."""
    number = getattr(errno, firing.rule.what.errno or "EIO")
    path = firing.facts.get("path")
    raise OSError(number, os.strerror(number), *([] if path is None else [path]))


def short(firing: Firing) -> int | None:
    """Half of the bytes are taken; None, which means all, where there are no two."""
    size: int = firing.facts["size"]
    return size // 2 if size > 1 else None


def full(firing: Firing) -> None:
    """There is no room in shared memory."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ACTS: Mapping[str, Act] = {"fail": fail, "short": short, "full": full}
