"""What became of a call: its result or its exception, on the way from the task to the future.

Pickled by the task itself, result and all, so that one that cannot be pickled, or unpickled by the driver, is the end
of this call and not of the job, in which there are others.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

from protocol import by_value
from protocol.errors import SerializationError


class Returned:
    """A result: its pickle, and the large buffers in it, which are not copied into that."""

    def __init__(self, payload: bytes, buffers: Sequence[Any], seconds: float) -> None:
        self._payload = payload
        self._buffers = buffers
        self.seconds = seconds
        """How long the call took."""

    @classmethod
    def of(cls, value: object, seconds: float) -> Returned:
        """Raises what pickling raises."""
        buffers: list[Any] = []
        try:
            payload = pickle.dumps(value, 5, buffer_callback=buffers.append)
            by_reference = not by_value.names_only_here(payload)
        except Exception:  # a lambda, say; if it cannot go by value either, that error is the one to report
            by_reference = False
        if not by_reference:
            buffers.clear()
            payload = by_value.dumps(value, buffer_callback=buffers.append)
        return cls(payload, buffers, seconds)

    def settle(self, future: Future[Any]) -> None:
        try:
            value = pickle.loads(self._payload, buffers=self._buffers)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(value)


class Raised:
    """An exception: its pickle, if it has one, and its traceback as the user should see it."""

    def __init__(self, kind: str, pickled: bytes | None, traceback: str, seconds: float, of_initializer: bool) -> None:
        self._kind = kind
        self._pickled = pickled
        self._traceback = traceback
        self.seconds = seconds
        self.of_initializer = of_initializer

    def settle(self, future: Future[Any]) -> None:
        future.set_exception(self.exception())

    def exception(self) -> BaseException:
        """With the traceback as ``__cause__``, as `ProcessPoolExecutor` gives it."""
        error = self._unpickled() or SerializationError(f"the call raised {self._kind}, which cannot be pickled")
        error.__cause__ = RemoteTraceback(f'\n"""\n{self._traceback}"""')
        return error

    def _unpickled(self) -> BaseException | None:
        try:
            error = None if self._pickled is None else pickle.loads(self._pickled)
        except Exception:
            return None
        return error if isinstance(error, BaseException) else None


Outcome: TypeAlias = Returned | Raised
Describe: TypeAlias = Callable[[BaseException], tuple[bytes | None, str]]


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in an executor: where that was, as text."""

    def __str__(self) -> str:
        return str(self.args[0])
