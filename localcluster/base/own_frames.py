"""Telling our own code from the user's, by where it lies."""

from __future__ import annotations

import os

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OWN_PACKAGES = tuple(os.path.join(_ROOT, package) + os.sep for package in ("localcluster", "storage", "protocol"))
"""Directories of the three packages; file names of their code start with one of them."""
