"""What follows from a message to the block master: a reply, and messages to send.

Covers the value that the endpoint returns and `settle`, which carries it out over whatever transport there is. The
endpoint itself never sends or waits, so its tests need neither process nor clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from protocol.message import Order

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """Send `tells`, then `asks`; when all asks are answered, go on with ``combine(answers)``, else answer `reply`.

    ``answers`` are in the order of `asks`. An ask that failed (dead or silent slave, handler that raised) has its
    exception as answer: one lost slave must not undo what the others did.

    ``background`` is carried out besides, before the answer, which does not wait for it.
    """

    reply: Any = None
    tells: list[tuple[str, Order]] = field(default_factory=list)  # (executor id, order)
    asks: list[tuple[str, Order]] = field(default_factory=list)
    combine: Callable[[list[Any]], Outcome] | None = None
    background: Outcome | None = None


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
    _continue(outcome, tell, ask_async, done)
    return done


def _continue(
    outcome: Outcome,
    tell: Callable[[str, Order], None],
    ask_async: Callable[[str, Order], Future[Any]],
    done: Future[Any],
) -> None:
    for executor_id, order in outcome.tells:
        tell(executor_id, order)
    if outcome.background is not None:
        _continue(outcome.background, tell, ask_async, Future())
    combine = outcome.combine
    if combine is None:
        done.set_result(outcome.reply)
        return
    asked = [ask_async(executor_id, order) for executor_id, order in outcome.asks]
    missing = len(asked)

    def finish() -> None:
        try:
            following = combine([_answer(future) for future in asked])
        except Exception as error:
            done.set_exception(error)
            return
        _continue(following, tell, ask_async, done)

    def one_answered(_: Future[Any]) -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            finish()

    if not asked:
        finish()
    for future in asked:
        future.add_done_callback(one_answered)


def _answer(future: Future[Any]) -> Any:
    error = future.exception()
    if error is None:
        return future.result()
    log.info("a slave did not answer: %s", error)
    return error
