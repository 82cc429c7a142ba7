"""Say which part of a value cannot be pickled, and why: ``result.pool[0].lock is a _thread.lock (cannot pickle …)``.

Covers the search that runs after pickling has failed; it pickles parts of the value again, so it is for error messages
only.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from itertools import islice
from types import FunctionType, MethodType
from typing import Any

from protocol import by_value

MAX_DEPTH = 20
MAX_CHILDREN = 1000  # looked at per value


def explain_unpicklable(value: Any, name: str) -> str | None:
    """One line that names the innermost part of ``value`` that cannot be pickled, or None when all of it can.

    ``name`` is what to call the value itself.
    """
    error = _pickling_error(value)
    if error is None:
        return None
    path = [value]
    while len(path) < MAX_DEPTH:
        for label, child in islice(_children(value), MAX_CHILDREN):
            child_error = None if any(child is parent for parent in path) else _pickling_error(child)
            if child_error is not None:
                name, value, error = name + label, child, child_error
                path.append(child)
                break
        else:
            break
    return f"{name} is a {_type_name(value)} ({type(error).__name__}: {error})"


def _pickling_error(value: Any) -> Exception | None:
    try:
        by_value.dumps(value, buffer_callback=lambda buffer: None)  # do not copy arrays
    except Exception as error:  # whatever a user's __reduce__ raises
        return error
    return None


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value that pickling it would pickle, as far as one can tell, each with its label."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{_short(key)}]", item
            yield f" key {_short(key)}", key
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield " element", item
    elif isinstance(value, FunctionType):
        yield from _function_children(value)
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    for attribute, item in _attributes(value):
        yield f".{attribute}", item


def _function_children(function: FunctionType) -> Iterator[tuple[str, Any]]:
    variables = inspect.getclosurevars(function)
    for name, item in {**variables.globals, **variables.nonlocals}.items():
        yield f" -> {name}", item
    for item in function.__defaults__ or ():
        yield " default argument", item


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, type):  # its attributes are not part of a class that is pickled by reference
        return
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in ("__dict__", "__weakref__") and hasattr(value, slot):
                yield slot, getattr(value, slot)


def _short(key: Any) -> str:
    try:
        text = repr(key)
    except Exception as error:  # a user's __repr__ must not hide the error that is being explained
        return f"<{type(key).__qualname__}: repr failed with {type(error).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."
