"""System properties of this process: what PySpark's programs read and set in their JVM.

Those that start with ``spark.`` or ``localcluster.`` are what a `SparkConf` starts from; ``localcluster run`` puts its
options there, as spark-submit does. Does not cover properties of the JVM itself (``java.home``, …): they are unset.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Callable

SETTINGS = ("spark.", "localcluster.")  # how the keys that mean something to us start

_set: dict[str, str] = {}


def user_name() -> str:
    """Who runs this process; the number of a user that has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


_OF_THE_SYSTEM: dict[str, Callable[[], str]] = {
    "file.separator": lambda: os.sep,
    "java.io.tmpdir": tempfile.gettempdir,
    "line.separator": lambda: os.linesep,
    "os.arch": lambda: os.uname().machine,
    "os.name": lambda: os.uname().sysname,
    "os.version": lambda: os.uname().release,
    "path.separator": lambda: os.pathsep,
    "user.dir": os.getcwd,
    "user.home": lambda: os.path.expanduser("~"),
    "user.name": user_name,
}


def get_property(key: str) -> str | None:
    if key in _set:
        return _set[key]
    return _OF_THE_SYSTEM[key]() if key in _OF_THE_SYSTEM else None


def set_property(key: str, value: str) -> None:
    _set[key] = str(value)


def clear_property(key: str) -> None:
    _set.pop(key, None)


def settings() -> dict[str, str]:
    """The properties that are settings of ours."""
    return {key: value for key, value in _set.items() if key.startswith(SETTINGS)}
