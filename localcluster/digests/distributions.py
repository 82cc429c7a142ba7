"""`versions_of`: the distributions that an imported package is of, with their versions, by what installers left there.

`importlib.metadata` tells the same of a package that is not called as its distribution, as ``sklearn`` is not, by
taking the lists of all distributions' files apart: 0.3 s for forty of them. Here the lists are searched as they are,
and only when the name itself leads nowhere. Name and version are those in a directory's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_INFO = re.compile(r"([^-~][^-]*)-(.+)\.(?:dist|egg)-info")


def versions_of(package: str, directories: Iterable[str]) -> str:
    """``name version`` of each, from the first of the directories that has any; "" if none has."""
    for directory in dict.fromkeys(directories):
        infos = [info for info in map(_INFO.fullmatch, _names_in(directory)) if info is not None]
        found = [info for info in infos if _normal(info[1]) == _normal(package)]
        found = found or [info for info in infos if _has(os.path.join(directory, info[0]), package)]
        if found:
            return ", ".join(sorted(f"{info[1]} {info[2]}" for info in found))
    return ""


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory or ".")
    except OSError:  # a path to import from need not be there, nor be a directory
        return []


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "_", name).lower()


def _has(info: str, package: str) -> bool:
    """By the names of packages that it declares, or else by its files."""
    declared = _read(os.path.join(info, "top_level.txt"))
    if declared:
        return package in declared.decode(errors="replace").split()
    files = _read(os.path.join(info, "RECORD"))
    return re.search(rb"^%b[/.]" % re.escape(package.encode()), files, re.MULTILINE) is not None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
