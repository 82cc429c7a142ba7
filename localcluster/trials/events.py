"""The events of one test, of whatever contexts it used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.api.context import SparkContext

if TYPE_CHECKING:
    from protocol.events import Event

E = TypeVar("E")


class EventsOfTest:
    """Call it: what happened since it was made, oldest first, in the context that is active; or of some types only."""

    def __init__(self) -> None:
        self._since = time.time()

    def __call__(self, *types: type[Any]) -> tuple[Event, ...]:
        """Raises RuntimeError without an active context."""
        context = SparkContext._active_spark_context
        if context is None:
            raise RuntimeError(
                "no SparkContext is active, so there are no events; use the fixture sc, or make one before"
            )
        return tuple(event for event in context.events(*types) if event.at >= self._since)
