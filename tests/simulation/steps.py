"""What a thread of an executor does, as a generator: it yields how long it takes, or the future that it waits for.

A generator yields seconds to let time pass (`Work`: in the user's code), or a Future, whose result it is sent and whose
error it is thrown. An executor drives its generators by `Steps`: they stand still while it is stopped, and are
forgotten when it is dead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Doing: TypeAlias = Generator["float | Future[Any]", Any, T]


class Work(float):
    """Seconds that the user's code takes, in which a kill can end it."""


class Steps:
    """Drives one generator. ``later(delay, work)`` is the executor's time; ``end(result, error)`` hears how it ended.

    ``interrupt`` throws an exception into it when it is next in the user's code: what a kill does.
    """

    def __init__(
        self,
        doing: Doing[Any],
        later: Callable[[float, Callable[[], None]], None],
        end: Callable[[Any, BaseException | None], None],
    ) -> None:
        self._doing = doing
        self._later = later
        self._end = end
        self._interruption: BaseException | None = None
        self._go(lambda: next(doing))

    def interrupt(self, error: BaseException) -> None:
        self._interruption = error

    def _go(self, step: Callable[[], Any]) -> None:
        try:
            wish = step()
        except StopIteration as stop:
            self._end(stop.value, None)
            return
        except (AssertionError, AttributeError, KeyError, TypeError):
            raise  # a fault of the simulation itself, which must not pass for an executor's answer
        except Exception as error:
            self._end(None, error)
            return
        if isinstance(wish, Future):
            wish.add_done_callback(lambda future: self._later(0.0, lambda: self._answered(future)))
        else:
            self._later(wish, self._resume_users_code if isinstance(wish, Work) else self._resume)

    def _resume(self) -> None:
        self._go(lambda: self._doing.send(None))

    def _resume_users_code(self) -> None:
        error, self._interruption = self._interruption, None
        self._go(lambda: self._doing.send(None) if error is None else self._doing.throw(error))

    def _answered(self, future: Future[Any]) -> None:
        error = future.exception()
        self._go(lambda: self._doing.send(future.result()) if error is None else self._doing.throw(error))
