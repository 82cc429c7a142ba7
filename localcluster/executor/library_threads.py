"""How many threads the libraries of tasks start: as many as a task has cores, as PySpark's workers do.

Else every executor computes with as many threads as the machine has cores, and they get in each other's way. Acts on
libraries that are loaded later: executors are forked from a process that has loaded none of them.
"""

from __future__ import annotations

import os


def limit_library_threads(cores: int) -> None:
    """Set what OpenMP, OpenBLAS, MKL, numexpr, PyTorch and Arrow go by, unless the user has. Variables of their own,
    such as OPENBLAS_NUM_THREADS, win over it in these libraries. Apple's Accelerate knows only its own.
    """
    threads = os.environ.setdefault("OMP_NUM_THREADS", str(cores))
    os.environ.setdefault("VECLIB_MAXIMUM_THREADS", threads.partition(",")[0])  # it may be a list, by depth
