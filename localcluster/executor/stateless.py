"""Whether a stage's lineage can be shared by all its tasks, or must be unpickled anew for each, as in Spark.

A closure may hold mutable state (a list, a generator of random numbers) that must not leak from one task to the next.
Most closures hold none, and unpickling costs more than a short task takes, so the question is worth asking once per
stage. Only what is certainly immutable counts as stateless; when in doubt, the answer is no.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from dis import opmap
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from localcluster.task.accumulators import Accumulator

_ATOMS: set[type] = {type(None), type(...), bool, int, float, complex, str, bytes, range, CodeType}
_ATOMS |= {operator.itemgetter, operator.attrgetter}
_NAMES_THAT_WRITE = {"exec", "eval", "globals", "vars", "setattr", "delattr", "__dict__", "__globals__", "__defaults__"}
_WRITES_NAMES = {opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR")}
_WRITES_CELLS = {opmap[name] for name in ("STORE_DEREF", "DELETE_DEREF")}
_OURS = ("localcluster.", "storage.")  # objects of ours do not change in executors, but for accumulators


def is_stateless(*values: Any) -> bool:
    """Whether running tasks with these same objects cannot differ from running each with fresh copies."""
    todo = list(values)  # a stack of our own: lineages can be thousands deep
    seen: set[int] = set()
    while todo:
        value = todo.pop()
        if type(value) in _ATOMS or id(value) in seen:
            continue
        seen.add(id(value))
        parts = _parts(value)
        if parts is None:
            return False
        todo.extend(parts)
    return True


def _parts(value: Any) -> Iterable[Any] | None:
    """What the value consists of, if it is stateless when all of that is; None when it is not."""
    kind = type(value)
    if kind is ModuleType:  # one that cannot be imported was pickled by value, variables and all
        return () if sys.modules.get(value.__name__) is value else None
    if kind in (tuple, frozenset):
        return value  # type: ignore[no-any-return]
    if isinstance(value, type):
        return () if is_importable(value) else None
    if kind is FunctionType:
        return () if is_importable(value) else _function_parts(value)
    if kind is BuiltinFunctionType:
        return (value.__self__,)
    if kind is MethodType:
        return value.__self__, value.__func__
    if kind is partial:
        return value.func, *value.args, *value.keywords.values()
    if kind.__module__.startswith(_OURS) and kind is not Accumulator:
        slots = [name for base in kind.__mro__ for name in base.__dict__.get("__slots__", ()) if name != "__weakref__"]
        items = value if isinstance(value, tuple) else ()
        return *(getattr(value, name, None) for name in slots), *getattr(value, "__dict__", {}).values(), *items
    return None


def _function_parts(function: FunctionType) -> Iterable[Any] | None:
    """Of a function that was pickled by value: what it closes over, its defaults and the globals it names."""
    if _may_write(function.__code__):
        return None
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell that is not filled yet
        return None
    defaults = *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()
    names = _global_names(function.__code__)
    used = [function.__globals__[name] for name in names if name in function.__globals__]
    return *cells, *defaults, *function.__dict__.values(), *used


def _may_write(code: CodeType) -> bool:
    """Whether the code, or code nested in it, may change a global, a variable that it closes over or an attribute (of
    the function itself, say), though all of these hold immutable values.
    """
    opcodes = set(code.co_code[::2])
    return (
        not opcodes.isdisjoint(_WRITES_NAMES)
        or (bool(code.co_freevars) and not opcodes.isdisjoint(_WRITES_CELLS))
        or not _NAMES_THAT_WRITE.isdisjoint(code.co_names)
        or any(_may_write(const) for const in code.co_consts if isinstance(const, CodeType))
    )


def _global_names(code: CodeType) -> set[str]:
    """Names that the code, or code nested in it, may look up in its globals."""
    nested = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_global_names, nested))


def is_importable(value: Any) -> bool:
    """Whether it was pickled by reference: then all tasks share the module's own object in any case."""
    if value.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value
