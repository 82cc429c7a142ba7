"""Events as records. Spark's REST API has none; the names of their fields are in its style."""

from __future__ import annotations

from typing import Any, get_args

from localcluster.ui.record import Record, date, known
from protocol.events import Event, TaskRef, TaskStarted

UNUSUAL = tuple(kind for kind in get_args(Event) if kind is not TaskStarted)
"""The types of events that are shown: the starts of tasks would hide the others."""


def event_record(event: Event) -> Record:
    fields = {_name(field): _value(value) for field, value in event._asdict().items() if field != "at"}
    return known(event=type(event).__name__, time=date(event.at), **fields)


def _value(value: Any) -> Any:
    if isinstance(value, TaskRef):
        return {_name(field): number for field, number in value._asdict().items()}
    return [_value(item) for item in value] if isinstance(value, tuple) else value


def _name(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(map(str.title, others))
