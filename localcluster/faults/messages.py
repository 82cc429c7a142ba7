"""What can happen to a message: it is lost, comes late, twice, after the one behind it, or garbled.

All of it happens on the wire, below the numbers of frames (`protocol.bad_wire`), in the process that sends. So the
receiver's channel sees what it would see of a bad pipe, and what follows is its affair: ``docs/fault-injection.md``,
"Messages".
"""

from __future__ import annotations

from localcluster.faults.firing import Act, Firing
from localcluster.faults.keys import ANSWER
from protocol.bad_wire import DOUBLED, LOST, OVERTAKEN, Fate
from protocol.endpoint import Endpoint
from protocol.hook import Passing, Way
from protocol.sites import Armed

SITE = "message"

_OF_EXECUTOR = " of executor "  # in the names of the driver's channels to executors


def _delay(firing: Firing) -> Fate:
    return Fate(delay=firing.rule.what.seconds or 0.0, is_over=firing.books.is_over)


def _garble(firing: Firing) -> Fate:
    return Fate(garbled=firing.chance)


ACTS: dict[str, Act] = {
    "drop": lambda firing: LOST,
    "delay": _delay,
    "duplicate": lambda firing: DOUBLED,
    "reorder": lambda firing: OVERTAKEN,
    "garble": _garble,
}


class _Door:
    """The hook of all endpoints of an armed process."""

    def __init__(self, armed: Armed) -> None:
        self._armed = armed

    def __call__(self, passing: Passing) -> Fate | None:
        if passing.way is Way.IN:
            return None
        name = passing.asked + ANSWER if passing.asked else type(passing.message).__name__
        executor = _executor(passing)
        about = {} if executor is None else {"executor": executor}
        fate = self._armed(SITE, message=name, **about)
        return fate if isinstance(fate, Fate) else None


def _executor(passing: Passing) -> str | None:
    """Which executor the message is to or about, where that is not the one that sends it."""
    if _OF_EXECUTOR in passing.channel:
        return passing.channel.partition(_OF_EXECUTOR)[2]
    about = getattr(passing.message, "executor_id", None)
    return about if isinstance(about, str) else None


def set_door(armed: Armed | None) -> None:
    """Let rules fire at the messages of this process from now on; None: no more."""
    Endpoint.set_common_hook("faults", None if armed is None else _Door(armed))
