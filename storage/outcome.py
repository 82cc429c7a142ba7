"""What follows from a message to the block master: a reply, and messages to send.

Covers the value that the endpoint returns and `settle`, which carries it out over whatever transport there is. The
endpoint itself never sends or waits, so its tests need neither process nor clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from protocol.message import Message, Order

log = logging.getLogger(__name__)


Tells: TypeAlias = list[tuple[str, Order]]
"""What is sent to executors: (executor id, order)."""


@dataclass(slots=True)
class Outcome:
    """Send `tells`, then `asks`; when all asks are answered, go on with ``combine(answers)``, else answer `reply`.

    ``answers`` are in the order of `asks`. An ask that failed (dead or silent slave, handler that raised) has its
    exception as answer: one lost slave must not undo what the others did.

    ``background`` is carried out besides, before the answer, which does not wait for it.
    """

    reply: Any = None
    tells: Tells = field(default_factory=list)
    asks: list[tuple[str, Order]] = field(default_factory=list)
    combine: Callable[[list[Any]], Outcome] | None = None
    background: Outcome | None = None


Handlers: TypeAlias = dict[type[Message], Callable[[str, Any, float], Outcome]]
"""{type of a message: what follows from one, by sender, message and time}."""


def settle(
    outcome: Outcome,
    tell: Callable[[str, Order], None],
    ask_async: Callable[[str, Order], Future[Any]],
) -> Future[Any]:
    """Carry the outcome out; the future's result is the reply, and it never waits longer than the asks' own deadlines.

    `tell` and `ask_async` may be called again, and ``combine`` runs, in the thread that resolves the last ask: that
    has to be the thread (or to hold the lock) that the endpoint belongs to. A `tell` to a dead slave must not raise.
    """
    done: Future[Any] = Future()
    _carry_out([(outcome, done)], tell, ask_async)
    return done


_Step: TypeAlias = tuple[Outcome, Future[Any]]


def _carry_out(
    todo: list[_Step], tell: Callable[[str, Order], None], ask_async: Callable[[str, Order], Future[Any]]
) -> None:
    """A list and no recursion: asks of one that is gone fail at once, and each may lead to the next."""
    while todo:
        outcome, done = todo.pop()
        for executor_id, order in outcome.tells:
            tell(executor_id, order)
        if outcome.background is not None:
            todo += [(replace(outcome, tells=[], background=None), done), (outcome.background, Future())]
        elif outcome.combine is None:
            done.set_result(outcome.reply)
        else:
            asked = [ask_async(executor_id, order) for executor_id, order in outcome.asks]
            todo += _follow(asked, outcome.combine, done, lambda steps: _carry_out(steps, tell, ask_async))


def _follow(
    asked: list[Future[Any]],
    combine: Callable[[list[Any]], Outcome],
    done: Future[Any],
    later: Callable[[list[_Step]], None],
) -> list[_Step]:
    """What follows from the answers, if all are there; else it goes to `later` with the last of them."""
    missing = len(asked)

    def follow() -> list[_Step]:
        try:
            return [(combine([_answer(future) for future in asked]), done)]
        except Exception as error:
            done.set_exception(error)
            return []

    def one_answered(_: Future[Any]) -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            later(follow())

    if all(future.done() for future in asked):
        return follow()
    for future in asked:
        future.add_done_callback(one_answered)
    return []


def _answer(future: Future[Any]) -> Any:
    error = future.exception()
    if error is None:
        return future.result()
    log.info("a slave did not answer: %s", error)
    return error
