"""The keys of entries, and the block ids that stand for them.

A key is a text, or a tuple of plain values. Two keys are the same entry when they are equal and of the same types: 1,
1.0 and True are three keys, where a dict has one.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

from protocol.errors import CacheKeyError
from storage.block_id import CacheBlockId

Key: TypeAlias = "str | tuple[Any, ...]"

_PLAIN = frozenset({str, bytes, int, float, bool, type(None)})


def block_id_of(namespace: str, key: Key) -> CacheBlockId:
    """Raises CacheKeyError for what is no key."""
    return CacheBlockId(namespace, digest_of(key))


def digest_of(key: Key) -> str:
    """Raises CacheKeyError for what is no key."""
    if type(key) is not str:
        _require_plain(key)
    # ascii() of these types is the same in every process and version of Python, and differs where type or value do.
    try:
        text = ascii(key)
    except ValueError as error:  # an int of thousands of digits
        raise CacheKeyError(f"a key's parts are to be smaller: {error}") from None
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _require_plain(key: Any) -> None:
    if type(key) is not tuple:
        raise CacheKeyError(f"a key is a str or a tuple of plain values, not {type(key).__name__}")
    for item in key:
        if type(item) is tuple:
            _require_plain(item)
        elif type(item) not in _PLAIN:
            raise CacheKeyError(
                f"a key's parts are str, bytes, int, float, bool, None and tuples of them, not {type(item).__name__}"
            )
