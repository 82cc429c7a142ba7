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
    if type(key) is not str:
        _require_plain(key)
    # repr of these types is the same in every process, and differs where type or value do.
    return CacheBlockId(
        namespace, hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    )


def _require_plain(key: Any) -> None:
    if type(key) is not tuple:
        raise CacheKeyError(f"a key is a str or a tuple of plain values, not {_named(key)}")
    for item in key:
        if type(item) is tuple:
            _require_plain(item)
        elif type(item) not in _PLAIN:
            raise CacheKeyError(
                f"a key's parts are str, bytes, int, float, bool, None and tuples of them, not {_named(item)}"
            )


def _named(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
