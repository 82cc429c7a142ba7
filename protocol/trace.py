"""A line in the log for each message that an endpoint of this process sends or receives, at level TRACE.

Covers how it is switched on and what a message looks like in the log: its type and fields, but no payloads, which may
be large, and no settings, which may hold secrets. Nothing of the program's own is asked for its text, which might run
any code under any lock. While it is off it costs nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from protocol.endpoint import Endpoint
from protocol.hook import Passing, Way

TRACE = 5  # below DEBUG; `logging` has none
DEPTH, ITEMS, CHARACTERS = 4, 6, 80  # of what is shown
_WORDS = {Way.OUT: "sent", Way.IN: "received"}

log = logging.getLogger(__name__)


class _Hook:
    """Of all endpoints that have none of their own. Loses nothing."""

    def __call__(self, passing: Passing) -> None:
        if log.isEnabledFor(TRACE):
            what = f"{passing.kind.name} {passing.correlation or ''}".rstrip()
            log.log(TRACE, "%s %s (%s): %s", _WORDS[passing.way], what, passing.channel, shown(passing.message))


_hook = _Hook()


def switch(on: bool) -> None:
    if on and logging.getLevelName(TRACE) == f"Level {TRACE}":  # else the program has named it
        logging.addLevelName(TRACE, "TRACE")
    Endpoint.set_common_hook("trace", _hook if on else None)


def shown(value: Any, depth: int = DEPTH) -> str:
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return repr(value)
    if kind is str:
        return repr(value if len(value) <= CHARACTERS else f"{value[:CHARACTERS]}…")
    if kind in (bytes, bytearray, memoryview):
        return f"<{len(value)} bytes>"
    if kind in (tuple, list, set, frozenset):
        some = [shown(item, depth - 1) for item, _ in zip(value, range(ITEMS if depth else 0), strict=False)]
        return f"{kind.__name__}({', '.join([*some, '…'] if len(value) > len(some) else some)})"
    if not kind.__module__.startswith(("protocol.", "storage.", "localcluster.")):
        return f"<{kind.__name__}>"
    if names := getattr(kind, "__match_args__", ()):
        fields = [f"{name}={shown(getattr(value, name), depth - 1)}" for name in names] if depth else ["…"]
        return f"{kind.__name__}({', '.join(fields)})"
    return repr(value)
