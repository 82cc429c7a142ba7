"""Failures on purpose: plans of faults, made in Python or of text, and what carries them out.

Programs take from here what makes a plan::

    from localcluster.faults import kill, plan, raising

See docs/fault-injection.md.
"""

from __future__ import annotations

from localcluster.faults.builders import (
    corrupt,
    delay,
    delay_fork,
    drop,
    duplicate,
    exiting,
    fail,
    fail_fork,
    full,
    garble,
    hang,
    hog,
    kill,
    lose,
    plan,
    raising,
    reorder,
    segfault,
    short,
    silence,
    slow,
    stop,
    truncate,
)
from localcluster.faults.plan import Plan
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
