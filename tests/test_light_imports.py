"""Importing `SparkContext` loads little: the rest is loaded while the launcher starts, which takes as long.

What the launcher loads, every process of a run has in memory.
"""

from __future__ import annotations

import subprocess
import sys

LATER = (
    "localcluster.driver.cluster",
    "localcluster.executor",
    "storage.arena",
    "storage.block_manager",
)
FEW_NEED = (
    "decimal",
    "hashlib",
    "importlib.resources",
    "localcluster.api.context",
    "localcluster.driver",
    "localcluster.faults.injector",
    "protocol.events",
    "sysconfig",
)


def test_importing_the_context_loads_neither_driver_nor_stores() -> None:
    program = "import sys; from localcluster import SparkContext; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith(LATER)] == []
    assert "localcluster.api.context" in loaded


def test_the_launcher_loads_nothing_that_few_runs_need() -> None:
    libraries = "cloudpickle, multiprocess.connection, psutil, xxhash"
    program = f"import sys, {libraries}; before = set(sys.modules); import localcluster.launcher.launcher"
    shown = f"{program}; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()
    assert {"localcluster.executor.executor", "localcluster.rdd.rdd"} <= set(loaded), "each executor would load it"
    assert [name for name in loaded if name.startswith(FEW_NEED)] == []
