"""How an exception travels as the answer to an ask: the payload of an ERROR frame.

It is the pair (text: str, pickled exception: bytes | None). The exception is pickled apart so that the text arrives
even where the exception cannot be unpickled.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any, TypeAlias

from protocol.errors import RemoteAskError, SerializationError
from protocol.wire import describe, dumps, loads

log = logging.getLogger(__name__)

ErrorPair: TypeAlias = tuple[str, bytes | None]


def error_pair(error: BaseException) -> ErrorPair:
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()
    except BaseException:  # an exception of the user's may raise anything when it is looked at
        text = type(error).__name__
    try:
        return text, dumps(error)
    except BaseException as unpicklable:
        log.debug("an error travels as text only: %r", unpicklable)
        return text, None


def remote_error(what: str, text: str, cause: BaseException | None = None) -> RemoteAskError:
    error = RemoteAskError(f"{what} failed at the peer: {text}")
    error.__cause__ = cause
    return error


def error_of_pair(what: str, value: Any) -> RemoteAskError:
    """``what`` was asked."""
    match value:
        case (str(text), None):
            return remote_error(what, text)
        case (str(text), bytes(pickled)):
            error = remote_error(what, text)
            error.pickled_cause = pickled
            return error
        case _:
            return remote_error(what, f"the error is unreadable: {describe(value)}")


def load_cause(error: RemoteAskError) -> None:
    """Set ``__cause__`` to the peer's exception, if it has come and can be unpickled. That may run code of the user's,
    import modules and take its time: nothing for an event loop.
    """
    if error.pickled_cause is None:
        return
    try:
        cause = loads(error.pickled_cause)
    except SerializationError as unreadable:
        log.debug("an error came as text only: %s", unreadable)
        return
    error.__cause__ = cause if isinstance(cause, BaseException) else None
