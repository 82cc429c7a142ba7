"""The keys of entries, and the block ids that stand for them.

A key is a text, or a tuple of plain values: texts, bytes, numbers, None, dates and times, tuples. Two keys are the same
entry when they are equal and of the same types: 1, 1.0 and True are three keys, where a dict has one. A scalar of numpy
stands for the value of Python that it equals.
"""

from __future__ import annotations

import hashlib
import sys
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeAlias

from protocol.errors import CacheKeyError
from storage.block_id import CacheBlockId

Key: TypeAlias = "str | tuple[Any, ...]"

_PLAIN = frozenset({str, bytes, int, float, bool, type(None), date, datetime, timedelta})


def block_id_of(namespace: str, key: Key) -> CacheBlockId:
    """Raises CacheKeyError for what is no key."""
    return CacheBlockId(namespace, digest_of(key))


def digest_of(key: Key) -> str:
    """Raises CacheKeyError for what is no key."""
    # ascii() of these types is the same in every process and version of Python, and differs where type or value do.
    try:
        text = ascii(plain(key))
    except ValueError as error:  # an int of thousands of digits
        raise CacheKeyError(f"a key's parts are to be smaller: {error}") from None
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def plain(key: Any) -> Key:
    """The key of nothing but Python's own values. Raises CacheKeyError for what is no key."""
    if type(key) is not str:
        key = _plain(key)
        if type(key) is not str and type(key) is not tuple:
            raise CacheKeyError(f"a key is a str or a tuple of plain values, not {type(key).__name__}")
    return key  # type: ignore[no-any-return]


def _plain(part: Any) -> Any:
    if type(part) is tuple:
        return tuple(map(_plain, part))
    numpy: Any = sys.modules.get("numpy")
    value: Any = part.item() if numpy is not None and isinstance(part, _scalars(numpy)) else part
    if type(value) not in _PLAIN or (type(value) is datetime and type(value.tzinfo) not in (type(None), timezone)):
        raise CacheKeyError(
            "a key's parts are str, bytes, int, float, bool, None, dates and times (of no zone, or datetime.timezone) "
            f"and tuples of them, not {type(part).__name__}"
        )
    return value


def _scalars(numpy: Any) -> Any:
    """Without dates, of which some would become plain numbers."""
    return numpy.number, numpy.bool_, numpy.str_, numpy.bytes_
