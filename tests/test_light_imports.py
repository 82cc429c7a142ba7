"""Importing `SparkContext` loads little: the rest is loaded while the launcher starts, which takes as long."""

from __future__ import annotations

import subprocess
import sys

LATER = (
    "localcluster.driver.cluster",
    "localcluster.executor",
    "storage.arena",
    "storage.block_manager",
)


def test_importing_the_context_loads_neither_driver_nor_stores() -> None:
    program = "import sys; from localcluster import SparkContext; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith(LATER)] == []
    assert "localcluster.api.context" in loaded
