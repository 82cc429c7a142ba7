"""`Reads`: what a digest of code was made of, so that the next call sees at little cost that it is still so.

Names, attributes and cells are compared by identity. What they stand for is looked at again if it can change without
being bound anew: lists, arrays, objects. In these, code is told by identity: what it refers to is among the names.
"""

from __future__ import annotations

import sys
from _thread import LockType, RLock
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import repeat
from operator import is_
from pathlib import PurePath
from re import Pattern
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from localcluster.digests.walk import ATOMS, Leaf, Shape, Walk

MARKS = frozenset((object, LockType, RLock, WeakKeyDictionary, WeakSet, WeakValueDictionary))
"""Types of what code has for its own use, each process anew: by itself it says nothing of results."""


class _Missing:
    """What a name stands for that is not bound; one for all processes, as an object without content."""


MISSING = _Missing()

_LASTING = (BuiltinFunctionType, FunctionType, type, PurePath, Pattern, date, time, timedelta, Decimal, Fraction)
"""Values that do not change, besides `ATOMS`, and code, whose names are watched."""


class Reads:
    """All that was read, in the order of reading; `hold` says whether it would be read again."""

    def __init__(self, is_code: Any, shape_of: Any) -> None:
        self._is_code = is_code
        self._shape_of = shape_of
        self._items: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._attributes: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._all: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
        self._values: dict[int, Any] = {}
        self._columns: tuple[Any, ...] = ()
        self._digest = b""

    def item(self, names: dict[str, Any], name: str) -> Any:
        value = names.get(name, MISSING)
        self._items[id(names), name] = names, name, value
        return value

    def attribute(self, owner: Any, name: str) -> Any:
        try:
            value = getattr(owner, name)
        except (AttributeError, ValueError):  # an empty cell
            value = MISSING
        self._attributes[id(owner), name] = owner, name, value
        return value

    def all_of(self, names: Mapping[str, Any]) -> dict[str, Any]:
        copied = {**names}
        self._all.append((names, copied))
        return copied

    def value(self, value: Any) -> None:
        if not self._is_code(value) and not _lasts(value):
            self._values[id(value)] = value

    def freeze(self) -> None:
        """Everything is read."""
        self._columns = *_columns(self._items), *_columns(self._attributes)
        self._digest = self._digest_of_values()

    def hold(self) -> bool:
        dicts, names, values, owners, attributes, contents = self._columns
        try:
            return (
                all(map(is_, map(dict.get, dicts, names, repeat(MISSING)), values))
                and all(map(is_, map(getattr, owners, attributes, repeat(MISSING)), contents))
                and all(_same(names, copied) for names, copied in self._all)
                and (not self._values or self._digest_of_values() == self._digest)
            )
        except Exception:  # whatever it is, the next look at all of it meets it again, and says where
            return False

    def _digest_of_values(self) -> bytes:
        return Walk(self._by_identity).digest([*self._values.values()]) if self._values else b""

    def _by_identity(self, value: Any) -> Shape | Leaf:
        if self._is_code(value) or type(value) in MARKS:
            return Leaf(id(value).to_bytes(16, sys.byteorder))
        return self._shape_of(value)  # type: ignore[no-any-return]


def _columns(rows: dict[tuple[int, str], tuple[Any, str, Any]]) -> tuple[Any, ...]:
    return tuple(zip(*rows.values(), strict=True)) or ((), (), ())


def _same(names: Mapping[str, Any], copied: dict[str, Any]) -> bool:
    return len(names) == len(copied) and all(map(is_, map(copied.get, names, repeat(MISSING)), names.values()))


def _lasts(value: Any) -> bool:
    kind = type(value)
    if kind is tuple or kind is frozenset:
        return all(map(_lasts, value))
    return kind in ATOMS or kind is bytes or isinstance(value, _LASTING)
