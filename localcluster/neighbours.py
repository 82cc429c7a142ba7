"""The two packages beside this one, and whether a program's own ``storage.py`` or ``protocol.py`` hides them."""

from __future__ import annotations

import importlib.util
import os

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def require_own_packages() -> None:
    """Raises ImportError that names the file in the way and the way out."""
    for package in ("protocol", "storage"):
        spec = importlib.util.find_spec(package)
        found = spec.origin if spec is not None else None
        if found is None or os.path.dirname(os.path.dirname(os.path.abspath(found))) != _ROOT:
            raise ImportError(
                f"{found or package} is in the place of a package that localcluster itself needs, '{package}'; rename "
                f"that file, or move the program to another directory"
            )
