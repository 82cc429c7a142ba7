"""Named places in the code where a plan of faults may do something on purpose.

Covers how the code says that it has come to a place. What is done there, and when, is ``localcluster.faults``; while no
plan is armed in a process a site costs one look at a module's attribute:

    if sites.armed is not None:
        sites.armed("task.start", stage=…, partition=…)

Each place is described in ``docs/fault-injection.md``, as the moment that `localcluster.faults.vocabulary` names it.
"""

from __future__ import annotations

from typing import Any, Protocol


class Armed(Protocol):
    """What an armed process does at a site. It may wait, raise, or end the process.

    ``facts`` say what the site is about (``stage``, ``partition``, ``block``, ``call``, …). What it returns matters
    only where the site says so: for a write it is how many bytes to take, None for all.
    """

    def __call__(self, site: str, **facts: Any) -> Any: ...


armed: Armed | None = None
"""Set for the whole process while it has a plan; always read as ``sites.armed``."""
