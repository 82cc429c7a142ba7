"""What all records of the status page and the REST API have in common: names and values as in Spark's JSON."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""As in Spark's JSON. What is not known is left out."""


def known(**values: object) -> Record:
    """A record of what is not None."""
    return {name: value for name, value in values.items() if value is not None}


def date(seconds: float | None) -> str | None:
    """A moment, in seconds since the epoch, as Spark writes it."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}GMT"
