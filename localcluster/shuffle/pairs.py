"""What went wrong if a record is no pair of key and value. Loops over pairs ask only after something has failed."""

from __future__ import annotations

import reprlib
from typing import Any

from protocol.errors import NotAPairError

A_PAIR = (None, None)
"""Stands for the record while there is none yet."""


def check_pair(record: Any, error: Exception) -> None:
    """Raises NotAPairError, which begins with the text of ``error``, unless the record is of two parts."""
    try:
        _, _ = record
    except (TypeError, ValueError):
        raise _no_pair(record, error) from error


def check_key_and_value(record: Any, error: Exception) -> None:
    """The same, for where a record may be longer than a pair."""
    try:
        _, _ = record[0], record[1]
    except (TypeError, LookupError):
        raise _no_pair(record, error) from error


def _no_pair(record: Any, error: Exception) -> NotAPairError:
    return NotAPairError(f"{error}: a record is no pair of key and value, but {reprlib.repr(record)}")
