"""``import pyspark`` means the facade: `localcluster.pyspark`, and `localcluster.py4j` for ``import py4j``.

Covers ``run --pyspark`` in all of a run's processes. The launcher installs the finder before it forks, so driver and
executors have it, whatever their paths are and whether or not real PySpark is on them. Python programs that these start
find the packages of ``alias_path`` by PYTHONPATH, which install it there.
"""

from __future__ import annotations

import os
import sys

from localcluster.base.module_aliases import AliasFinder

FACADES = {"pyspark": "localcluster.pyspark", "py4j": "localcluster.py4j"}  # {top-level name: package it stands for}
_FINDER = AliasFinder(FACADES)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_DIRECTORY = os.path.join(_PACKAGE, "alias_path")


def install() -> None:
    """From here on the names mean the facade, in this process and its forks. Idempotent."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def install_for_children() -> None:
    """The same for Python programs that this process and its forks start."""
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = _DIRECTORY + (os.pathsep + others if others else "")
    sys.path.insert(1, _DIRECTORY)  # where PYTHONPATH goes: processes that multiprocessing spawns take this list


def is_active() -> bool:
    """Whether this process belongs to a run with ``--pyspark``."""
    return _DIRECTORY in sys.path
