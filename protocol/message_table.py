"""Who handles which message: a table in which the parts of a process register what is theirs.

Covers what nobody handles and what two would. What a handler is called with is its owner's affair.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from protocol.endpoint import Incoming
from protocol.errors import NoHandlerError
from protocol.message import Message

log = logging.getLogger(__name__)

Handler = TypeVar("Handler")


class MessageTable(dict[type[Message], Handler]):
    """{message type: handler}. ``receiver`` is whose messages these are, for errors.

    Look up with ``get(type(message))``, and let `refuse` answer what is not there.
    """

    def __init__(self, receiver: str) -> None:
        super().__init__()
        self._receiver = receiver

    def register(self, handlers: Mapping[type[Message], Handler]) -> None:
        """Raises ValueError, with nothing registered, when one of the messages has a handler already."""
        twice = [kind.__name__ for kind in handlers if kind in self]
        if twice:
            raise ValueError(f"two handlers of {self._receiver} for {', '.join(twice)}")
        self.update(handlers)

    def refuse(self, incoming: Incoming) -> None:
        """Nobody handles this: who asked gets a NoHandlerError; what was told is an error in the log. Raises
        ChannelError.
        """
        error = NoHandlerError(f"{type(incoming.message).__name__} is no message to {self._receiver}")
        if incoming.reply is not None:
            incoming.reply.error(error)
        else:
            log.error("%s", error)
