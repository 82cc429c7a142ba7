"""A fixed seed for the hash of strings: it must be the same in all processes and in every run, as in Spark."""

from __future__ import annotations

import os
import sys


def fix_hash_seed() -> None:
    """Start this program over with PYTHONHASHSEED=0, unless the seed is fixed already."""
    if os.environ.get("PYTHONHASHSEED", "random") == "random":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
