"""What data is like, for a walk: containers of Python, and any other object by what its class gives to pickle.

Order counts where a program can see it: of dictionaries, of attributes. A key that differs although the function does
not care costs one computation; the other way round it would give a wrong value. Sets have no order. Where a class says
by ``__reduce__`` or ``__getstate__`` what pickle is to keep, that is its content.

Not covered: code (`code_shapes`), and libraries whose reductions differ for equal values (`arrays`, `frames`).
"""

from __future__ import annotations

import copyreg
import marshal
import pickle
import sys
from array import array
from collections.abc import Callable
from enum import Enum
from itertools import chain
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from pickle import PickleBuffer
from types import MappingProxyType, MethodType
from typing import Any, TypeVar

from xxhash import xxh3_128

from localcluster.digests import arrays, frames
from localcluster.digests.program import build_of, version_of
from localcluster.digests.walk import Leaf, Shape
from protocol.errors import UnstableContentError


def shape_of(value: Any) -> Shape | Leaf:
    """Raises UnstableContentError when the value has no content that lasts."""
    shape = SHAPES.get(type(value))
    return shape(value) if shape is not None else shape_of_object(value)


def shape_of_object(value: Any) -> Shape | Leaf:
    """Of a value whose type is not in `SHAPES`."""
    if isinstance(value, (set, frozenset)):  # their reduction is a list, in no order
        return Shape(("set",), (type(value), frozenset(value), getattr(value, "__dict__", None)))
    if isinstance(value, Enum):
        return Shape(("member", value._name_), (type(value), value._value_), ("its class", "its value").__getitem__)
    for library, shape in (
        ("numpy", arrays.shape_of),
        ("pandas", frames.pandas_shape),
        ("pyarrow", frames.arrow_shape),
    ):
        module = sys.modules.get(library)
        found = shape(module, value) if module is not None else None
        if found is not None:
            return found
    return _reduced(value)


def _dict(value: dict[Any, Any]) -> Shape:
    return Shape(("dict",), chain.from_iterable(value.items()), lambda place: _name_in_dict(value, place))


def _name_in_dict(value: dict[Any, Any], place: int) -> str:
    key = [*value][place // 2]
    return f"value of key {key!r}" if place % 2 else f"key {key!r}"


def _buffer(value: Any) -> Leaf:
    with memoryview(value) as view:
        digest = xxh3_128(marshal.dumps(("buffer", type(value).__name__, view.format, view.shape), 2))
        digest.update(view if view.c_contiguous else view.tobytes())
    return Leaf(digest.digest())


def _object(value: object) -> Shape:
    raise UnstableContentError("an object() is only itself, and no other process has it")


def _reduced(value: Any) -> Shape:
    reduced = _reduce(value)
    if isinstance(reduced, str):
        module = pickle.whichmodule(value, reduced)  # type: ignore[attr-defined]
        wrapped = (getattr(value, "__dict__", None) or {}).get("__wrapped__")
        return Shape(("global", module, reduced, version_of(module) or build_of(module)), (type(value), wrapped))
    make, arguments, state, items, pairs, setter, *_ = list(reduced) + [None] * (6 - len(reduced))
    plain, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if not isinstance(plain, (dict, type(None))) or not isinstance(slots, (dict, type(None))):
        plain, slots = {"__state__": state}, None
    attributes: list[tuple[Any, Any]] = [*(plain or {}).items(), *(slots or {}).items()]
    rest = None if items is None else [*items], None if pairs is None else [*pairs], setter
    return Shape(
        ("object", len(attributes)),
        (make, arguments, *rest, *chain.from_iterable(attributes)),
        lambda place: _name_in_object(place, attributes),
    )


def _reduce(value: Any) -> Any:
    try:
        reducer = copyreg.dispatch_table.get(type(value))
        return value.__reduce_ex__(5) if reducer is None else reducer(value)
    except UnstableContentError:
        raise
    except Exception as e:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise UnstableContentError(f"a {kind} has no content that another process could have ({e})") from e


def _name_in_object(place: int, attributes: list[tuple[Any, Any]]) -> str:
    if place < 5:
        return ("its class", "its arguments", "its items", "its items", "its state")[place]
    return f"attribute {attributes[(place - 5) // 2][0]!r}"


SHAPES: dict[type, Callable[[Any], Shape | Leaf]] = {
    list: lambda value: Shape(("list",), value),
    tuple: lambda value: Shape(("tuple",), value),
    dict: _dict,
    set: lambda value: Shape(("set",), value, "an item of the set".format, unordered=True),
    frozenset: lambda value: Shape(("frozenset",), value, "an item of the set".format, unordered=True),
    MappingProxyType: lambda value: Shape(("mappingproxy",), ({**value},)),
    MethodType: lambda method: Shape(("method",), (method.__func__, method.__self__), ("function", "self").__getitem__),
    TypeVar: lambda var: Shape(("variable", var.__name__), (var.__bound__, var.__constraints__)),
    object: _object,
    **dict.fromkeys((bytearray, memoryview, array, PickleBuffer), _buffer),
    **dict.fromkeys(
        (PosixPath, PurePosixPath, WindowsPath, PureWindowsPath),
        lambda path: Shape(("path", type(path).__name__, str(path))),
    ),
}
