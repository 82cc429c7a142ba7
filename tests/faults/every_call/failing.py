"""The n-th call of a role's processes fails, from the first call of the first process on.

A plan of faults cannot do that at the start of a run: its books are in the scratch directory, which is made by calls of
the operating system. So this counts in a file of the test's, and takes what is to fail from another, which is read anew
at each call. The places are those of plans (`localcluster.faults.calls`); janitors are a role, too.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Any, NamedTuple

from localcluster.faults import calls

DIRECTORY = "EVERY_CALL_DIRECTORY"
"""The variable of the environment that names the directory of both files."""

SHORT = "short"
"""In place of an errno: the call takes fewer bytes than it was given. Only of writes; others do as always."""


class Fault(NamedTuple):
    """``errno`` is a name, or `SHORT`. ``always``: from the n-th call on; else that one only."""

    role: str
    errno: str
    nth: int
    always: bool


def order(directory: str, fault: Fault | None) -> None:
    """Have this fail from now on, and count anew. None: nothing fails or counts."""
    for name in ("count", "fired"):
        _empty(os.path.join(directory, name))
    path = os.path.join(directory, "order")
    with open(path + ".new", "w") as file:
        json.dump(fault, file)
    os.replace(path + ".new", path)


def fired(directory: str) -> str:
    """What has failed since `order`, a line each: role, call, path."""
    with open(os.path.join(directory, "fired")) as file:
        return file.read()


def count(directory: str) -> int:
    """Calls of the role since `order`."""
    return os.path.getsize(os.path.join(directory, "count"))


def arm(role: str) -> None:
    """In the first process of a program. ``role`` is its own, until it has another name."""
    directory = os.environ[DIRECTORY]

    def at_site(site: str, **facts: Any) -> int | None:
        with open(os.path.join(directory, "order")) as file:
            wanted = json.load(file)
        fault = None if wanted is None else Fault(*wanted)
        if fault is None or (me := _role() or role) != fault.role:
            return None
        number = _append(os.path.join(directory, "count"), ".")
        if number < fault.nth or (number > fault.nth and not fault.always):
            return None
        size = facts["size"]
        if fault.errno == SHORT and (size is None or size < 2):
            return None
        _append(os.path.join(directory, "fired"), f"{me} {facts['call']} {facts['path'] or ''}\n")
        if fault.errno == SHORT:
            return int(size) // 2
        code = getattr(errno, fault.errno)
        raise OSError(code, os.strerror(code), *([] if facts["path"] is None else [facts["path"]]))

    calls.set_door(at_site)


def _role() -> str | None:
    """As the process's name says it; None: it has none of ours."""
    with open("/proc/self/comm") as file:
        name = file.read().strip()
    return name.split("-")[1] if name.startswith("lc-") else None


def _append(path: str, text: str) -> int:
    """How many bytes the file has then."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, text.encode())
        return os.lseek(fd, 0, os.SEEK_CUR)
    finally:
        os.close(fd)


def _empty(path: str) -> None:
    with open(path, "w"):
        pass
