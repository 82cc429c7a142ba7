"""What a job's processes import from: the driver's import path, and files that come along for import (``--py-files``,
``pyFiles``, ``addPyFile``).

Covers the import path of one process. Which process has to know what is told by `files` (driver) and
`StageDescription` (executors).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable

from protocol.errors import ConfigurationError

PACKAGE_EXTENSIONS = (".zip", ".egg", ".jar")
"""Endings of files that go onto the import path themselves; of others, their directory does."""


def is_package(path: str) -> bool:
    return path.lower().endswith(PACKAGE_EXTENSIONS)


def search_paths(files: Iterable[str]) -> list[str]:
    """What has to be on ``sys.path``: archives and directories themselves, a ``.py`` file's directory.

    Raises ConfigurationError for a file that is not there or is of another kind.
    """
    paths = []
    for file in files:
        path = os.path.abspath(file)
        if not os.path.exists(path):
            raise ConfigurationError(f"py-file {file} does not exist")
        if os.path.isdir(path) or is_package(path):
            paths.append(path)
        elif path.endswith(".py"):
            paths.append(os.path.dirname(path))
        else:
            raise ConfigurationError(f"py-file {file} must be a .py file, a .zip or .egg archive, or a directory")
    return paths


def extend_import_path(paths: Iterable[str]) -> None:
    """Put the paths on this process's import path, behind the job's own directory, and have Python look again for
    modules that it did not find before.
    """
    for path in paths:
        if path not in sys.path:
            sys.path.insert(1, path)
    importlib.invalidate_caches()


def import_path() -> tuple[str, ...]:
    """This process's import path, as another one can use it whatever its working directory is."""
    return tuple(path if path.startswith("/") else os.path.abspath(path) for path in sys.path if isinstance(path, str))


def follow_import_path(paths: Iterable[str]) -> None:
    """Put what is missing of the paths on this process's import path, in their order among those that are there, and
    have Python look again for modules that it did not find before.
    """
    place = 0
    for path in paths:
        if path in sys.path:
            place = sys.path.index(path) + 1
        else:
            sys.path.insert(place, path)
            place += 1
    importlib.invalidate_caches()


def forget_import_paths(directory: str) -> None:
    """Take the directory, and what lies in it, off this process's import path."""
    sys.path[:] = [path for path in sys.path if path != directory and not path.startswith(directory + os.sep)]
