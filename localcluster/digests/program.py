"""What is the program's own, and what is of a library: told by where its file lies, libraries with their versions.

The program is what lies neither with Python nor in a directory of installed packages; a project that is installed in
editable form is program. Code that lies in no file (a notebook's cell, `exec`) is program, too.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache, lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

from localcluster.base.own_frames import OWN_PACKAGES
from localcluster.digests.distributions import versions_of

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
    return _version_at(module, getattr(loaded, "__file__", None) or getattr(loaded.__spec__, "origin", None))


def version_before_import(module: str) -> str | None:
    """The same, of a module that need not be loaded, and is not loaded by this.

    Raises ImportError when there is none.
    """
    package = module.partition(".")[0]
    if module in sys.modules or package in sys.modules:
        return version_of(module if module in sys.modules else package)
    try:
        spec = find_spec(package)
    except ValueError as e:
        raise ImportError(str(e)) from e
    if spec is None:
        raise ImportError(f"there is no module {package}")
    return _version_at(module, spec.origin)


def _version_at(module: str, file: str | None) -> str | None:
    if file is None or not (is_of_library(file) or file in ("built-in", "frozen")):
        return None
    of_python = file in ("built-in", "frozen") or (_PACKAGES not in file and file.startswith(_PYTHONS))
    if of_python:
        return _PYTHON
    packages = file.rfind(_PACKAGES)
    installed = file[: packages + len(_PACKAGES)] if packages >= 0 else ""
    return _version(module.partition(".")[0], installed)


def build_of(module: str) -> str:
    """Of a module of the program that has no Python code but a file that was compiled: which build it is."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    if not file.endswith(tuple(EXTENSION_SUFFIXES)):
        return ""
    status = os.stat(file)
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


@cache
def _version(package: str, installed: str) -> str:
    """``installed``: the directory of installed packages that it is in, or no text if it is in none."""
    found = versions_of(package, filter(None, (installed, *sys.path)))
    return found or str(getattr(sys.modules.get(package), "__version__", ""))
