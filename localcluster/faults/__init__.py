"""Failures on purpose: plans of faults, made in Python or of text, and what carries them out.

Programs take from here what makes a plan::

    from localcluster.faults import kill, plan, raising

Nothing is loaded before it is asked for: processes without a plan have no use for it. See docs/fault-injection.md.
"""

# ruff: noqa: F403, F405 - which builders there are, `__all__` says
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcluster.faults.builders import *
    from localcluster.faults.fault_plan import Plan
    from localcluster.faults.rule import UNLIMITED, Rule

__all__ = [
    "UNLIMITED",
    "Plan",
    "Rule",
    "corrupt",
    "delay",
    "delay_fork",
    "drop",
    "duplicate",
    "exiting",
    "fail",
    "fail_fork",
    "full",
    "garble",
    "hang",
    "hog",
    "kill",
    "lose",
    "plan",
    "raising",
    "reorder",
    "segfault",
    "short",
    "silence",
    "slow",
    "stop",
    "truncate",
]

_HOMES = {"Plan": "fault_plan", "Rule": "rule", "UNLIMITED": "rule"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'builders')}"), name)
    globals()[name] = value
    return value
