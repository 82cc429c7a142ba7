"""What a job's processes import from: the driver's import path, and files that come along for import (``--py-files``,
``pyFiles``, ``addPyFile``).

Covers the import path of one process. Which process has to know what is told by `files` (driver) and
`StageDescription` (executors).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator

from protocol import importable
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


class SharedImportPath:
    """Driver's side: the import path of a context's executors. It is the driver's of the start, and what joined that
    since; nothing leaves it, since executors may have modules from there.
    """

    def __init__(self) -> None:
        self._paths = list(_import_path())
        self._files: tuple[str, ...] = ()  # an entry for each file, so that the whole changes with each
        importable.also_search(self._paths)

    def add_file(self, path: str) -> None:
        """A file was added that can be imported from ``path``."""
        self._files += (path,)

    def now(self) -> tuple[str, ...]:
        """What a stage that starts now tells its executors."""
        _merge(_import_path(), self._paths)
        return (*self._paths, *self._files)


def follow_import_path(paths: Iterable[str]) -> None:
    """Executor's side: put what is missing of the paths on this process's import path, and have Python look again for
    modules that it did not find before.
    """
    _merge(paths, sys.path)
    importlib.invalidate_caches()


def _import_path() -> Iterator[str]:
    """This process's import path, as another one can use it whatever its working directory is."""
    return (path if path.startswith("/") else os.path.abspath(path) for path in sys.path if isinstance(path, str))


def _merge(paths: Iterable[str], into: list[str]) -> None:
    """Insert what is missing, in its order among what is there."""
    place = 0
    for path in paths:
        if path in into:
            place = into.index(path) + 1
        else:
            into.insert(place, path)
            place += 1


def forget_import_paths(directory: str) -> None:
    """Take the directory, and what lies in it, off this process's import path."""
    sys.path[:] = [path for path in sys.path if path != directory and not path.startswith(directory + os.sep)]
