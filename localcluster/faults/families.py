"""The families of actions: which function does each action, one file and one table a family.

A new family is a file with a table ``ACTS``, named in `acts` here; one with a site that is not in the
code, as messages have the hook of endpoints, has a line in `doors`. The words of its actions are in ``vocabulary``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcluster.faults import blocks, calls, messages, process_actions
from localcluster.faults.firing import Act
from localcluster.faults.process_actions import is_silent, let_go
from protocol.sites import Armed


def acts() -> dict[str, Act]:
    """What does each action, by its name."""
    return {**process_actions.ACTS, **messages.ACTS, **blocks.ACTS, **calls.ACTS}


def doors() -> dict[str, Callable[[Armed | None], None]]:
    """Sites that are not in the code: what puts a process's injector there, or takes it away. {site: it}"""
    return {calls.SITE: calls.set_door, messages.SITE: messages.set_door}


def answers() -> dict[str, Callable[[], Any]]:
    """What an armed process says at a site when no rule that fires there does: of lasting effects. {site: it}"""
    return {"heartbeat": is_silent}


def plan_ended() -> None:
    """A plan was disarmed in this process: its lasting effects end."""
    let_go()
