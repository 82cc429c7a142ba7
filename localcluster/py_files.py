"""Files that a job brings along for import: ``--py-files``, ``pyFiles``, ``addPyFile``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from protocol.errors import ConfigurationError


def search_paths(files: Iterable[str]) -> list[str]:
    """What has to be on ``sys.path``: archives and directories themselves, a ``.py`` file's directory.

    Raises ConfigurationError for a file that is not there or is of another kind.
    """
    paths = []
    for file in files:
        path = os.path.abspath(file)
        if not os.path.exists(path):
            raise ConfigurationError(f"py-file {file} does not exist")
        if os.path.isdir(path) or path.endswith((".zip", ".egg")):
            paths.append(path)
        elif path.endswith(".py"):
            paths.append(os.path.dirname(path))
        else:
            raise ConfigurationError(f"py-file {file} must be a .py file, a .zip or .egg archive, or a directory")
    return paths


def make_importable(files: Iterable[str]) -> None:
    """Put the files on this process's import path, behind the job's own directory. Executors get the same path."""
    for path in search_paths(files):
        if path not in sys.path:
            sys.path.insert(1, path)
