"""The hook of an endpoint: one callable that sees each message before it is sent and after it has arrived.

Covers what a hook is told and what it may do. `protocol.endpoint` calls it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from protocol.bad_wire import Fate
from protocol.wire import Kind


class Way(enum.Enum):
    OUT = "out"  # about to be sent
    IN = "in"  # arrived


class Passing(NamedTuple):
    """One message on its way. Messages of a batch pass one by one, as TELL."""

    channel: str  # its name
    way: Way
    kind: Kind  # TELL, ASK, REPLY or ERROR
    correlation: int  # which ask this is, or which one it answers; 0: told
    message: Any  # REPLY: the answer's value; ERROR: the pair (text, pickled exception or None)
    asked: str = ""  # REPLY and ERROR: class name of the message that is answered, where it is known


Hook: TypeAlias = Callable[[Passing], "bool | Fate | None"]
"""Says what becomes of the message: None or False, it passes.

True loses it here, without a trace: neither side notices, and who asked hears of it by the deadline. A `Fate`, only of
a message that is about to be sent, is what a bad wire does to its frame, so that the peer's channel sees it.

The hook runs in the thread that sends or receives. One that waits holds up what comes behind, as a slow pipe does: the
order of a channel's messages stays; a driver, which must not wait, delays by `Fate`. What it raises, the sender raises,
with nothing sent; on arrival a ChannelError breaks the channel behind the messages before, and anything else is a
failure of the thread that receives.
"""


class Hooks:
    """Several in a row: all see the message, and the first that wants something done with it has its way."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self._hooks = tuple(hooks)

    def __call__(self, passing: Passing) -> bool | Fate | None:
        verdicts = [hook(passing) for hook in self._hooks]
        return next((verdict for verdict in verdicts if verdict), None)
