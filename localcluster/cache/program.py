"""What is the program's own, and what is of a library: told by where its file lies, libraries with their versions.

The program is what lies neither with Python nor in a directory of installed packages; a project that is installed in
editable form is program. Code that lies in no file (a notebook's cell, `exec`) is program, too.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache, lru_cache
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES

from localcluster.base.own_frames import OWN_PACKAGES

_PYTHON = f"python {sys.version_info[0]}.{sys.version_info[1]}"
_PYTHONS = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")})
_PACKAGES = "-packages" + os.sep  # in the paths of installed packages
MAINS = ("__main__", "__mp_main__")
"""What the module of a script is called, the second in processes that multiprocessing spawned."""


@lru_cache(maxsize=10_000)
def is_of_library(file: str) -> bool:
    """Whether code of this file (``co_filename``) is not the program's own."""
    return _PACKAGES in file or file.startswith((*_PYTHONS, *OWN_PACKAGES, "<frozen "))


def version_of(module: str) -> str | None:
    """The version of the library that a module belongs to; None if it is the program's own."""
    loaded = sys.modules.get(module)
    if loaded is None or module in MAINS:
        return None
    file = getattr(loaded, "__file__", None)
    if file is None:
        spec = getattr(loaded, "__spec__", None)
        return _PYTHON if getattr(spec, "origin", None) in ("built-in", "frozen") else None
    if not is_of_library(file):
        return None
    return _PYTHON if _PACKAGES not in file and file.startswith(_PYTHONS) else _version(module.partition(".")[0])


def build_of(module: str) -> str:
    """Of a module of the program that has no Python code but a file that was compiled: which build it is."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    if not file.endswith(tuple(EXTENSION_SUFFIXES)):
        return ""
    status = os.stat(file)
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        named = getattr(sys.modules.get(package), "__version__", None)
        if isinstance(named, str):
            return named
        distributions = metadata.packages_distributions().get(package, ())
        return ", ".join(f"{name} {metadata.version(name)}" for name in distributions)
