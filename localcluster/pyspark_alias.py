"""``import pyspark`` means the facade: `localcluster.pyspark`, and `localcluster.py4j` for ``import py4j``.

Covers ``run --pyspark`` in all of a run's processes. The launcher installs the finder before it forks, so driver and
executors have it, whatever their paths are and whether or not real PySpark is on them. Python programs that these start
find the packages of ``alias_path`` by PYTHONPATH, which install it there.

``pyspark.rdd`` *is* `localcluster.pyspark.rdd`, the same module object: two copies would have two of everything.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FACADES = {"pyspark": "localcluster.pyspark", "py4j": "localcluster.py4j"}  # {top-level name: package it stands for}
_DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "alias_path")


def install() -> None:
    """From here on the names mean the facade, in this process and its forks. Idempotent."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())


def install_for_children() -> None:
    """The same for Python programs that this process and its forks start."""
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = _DIRECTORY + (os.pathsep + others if others else "")
    sys.path.insert(1, _DIRECTORY)  # where PYTHONPATH goes: processes that multiprocessing spawns take this list


def is_active() -> bool:
    """Whether this process belongs to a run with ``--pyspark``."""
    return _DIRECTORY in sys.path


class AliasFinder(MetaPathFinder, Loader):
    """Finds a module of the facade under PySpark's name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = _real_name(fullname)
        if name is None or importlib.util.find_spec(name) is None:
            return None
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what is in sys.modules after this, not what it passed. Returning the real module from
        # create_module would have it write another spec into that module.
        name = _real_name(module.__name__)
        assert name is not None
        sys.modules[module.__name__] = importlib.import_module(name)


def _real_name(name: str) -> str | None:
    top, dot, rest = name.partition(".")
    return None if top not in FACADES else FACADES[top] + dot + rest
