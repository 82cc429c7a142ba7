"""What code is like, for a walk: functions, classes and modules, with all that they refer to.

Of a function of the program: its code (`code_text`), defaults, what its closure holds, and what the global names in it
stand for: values by content, functions and classes of the program by their own code, and so on. Of names such as
``helpers.clean`` only that attribute of the module, of a module that is used otherwise all that it has, modules of the
program included. Modules that the function imports while it runs are imported for that, if they are the program's, and
so are modules of packages that are named. Of a class: its bases and all attributes. Of a library: name and version, and
what its closures and wrappers (``__wrapped__``) hold of the program.

Not followed, so a key does not change with it: the state of libraries (`os.environ`, `sys.argv`, numpy's global random
numbers), files, the clock; what is found by a text at run time, as by `getattr`, `eval` or `importlib`; docstrings and
annotations of functions; attributes of functions, unless the code names them.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from functools import cached_property, lru_cache
from importlib.util import resolve_name
from types import CodeType, FunctionType, GenericAlias, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from localcluster.digests.code_imports import Import
from localcluster.digests.code_text import CodeText, text_of
from localcluster.digests.program import MAINS, build_of, is_of_library, version_before_import, version_of
from localcluster.digests.reads import MISSING, Reads
from localcluster.digests.walk import Shape

_CODE = (FunctionType, ModuleType, CodeType, type, staticmethod, classmethod, property, cached_property)
_LRU_CACHE = type(lru_cache(len))
_OF_EACH_CACHE = [each for each in gc.get_referents(lru_cache(len)) if isinstance(each, type)]
_WRAPPED = ("__wrapped__",)
_MAKERS = ("types", "abc")
"""Modules that classes say to be of which they made for others, as `make_dataclass` does up to Python 3.11."""
_SLOTS = (GetSetDescriptorType, MemberDescriptorType)
_BY_PYTHON = """
    __dict__ __weakref__ __doc__ __module__ __qualname__ __firstlineno__ __static_attributes__ __slotnames__
    __annotate_func__ __annotations_cache__ __conditional_annotations__ __abstractmethods__ _abc_impl
    __warningregistry__ __builtins__ __cached__ __file__ __loader__ __name__ __package__ __path__ __spec__
"""
_OF_NO_ACCOUNT = frozenset(_BY_PYTHON.split())
"""What Python itself puts into the dictionaries of classes and modules, and adds to them later."""
_LASTING = frozenset(("__annotations__", "__dataclass_fields__", "__dataclass_params__", "__slots__"))
"""Attributes of classes that nobody changes once they are there, and that would take long to look at at each call."""

Named = Iterator[tuple[str, Any]]


def is_code(value: object) -> bool:
    """Whether `CodeShapes` tells what it is; also callables that remember, as `lru_cache` makes them."""
    if type(value) is GenericAlias:  # says that it is a class, up to Python 3.10
        return False
    return isinstance(value, _CODE) or _parts_of(value) is not None


def _parts_of(value: object) -> tuple[str, ...] | None:
    """Attributes that are all that counts of a callable; None if it is not of those that say so."""
    parts = _WRAPPED if type(value) is _LRU_CACHE else getattr(type(value), "__parts_that_count__", None)
    return parts if isinstance(parts, tuple) else None


class CodeShapes:
    """Shapes of code; what they are made of is told to `reads`. Names to be ignored are left out everywhere."""

    def __init__(self, reads: Reads, ignore: Collection[str] = ()) -> None:
        self._reads = reads
        self._ignore = ignore
        self.ignored: set[str] = set()
        """Names that were met and left out."""
        self.imported = False
        """Whether there are modules now that were not there before."""

    def shape_of(self, value: Any) -> Shape:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, ModuleType):
            return self._module(value)
        if isinstance(value, CodeType):
            return Shape(("code", text_of(value).digest))
        if isinstance(value, (staticmethod, classmethod)):
            return self._shape(("method", type(value).__name__), iter([("function", value.__func__)]))
        if isinstance(value, property):
            return self._shape(
                ("property",), iter([("getter", value.fget), ("setter", value.fset), ("deleter", value.fdel)])
            )
        if isinstance(value, cached_property):
            return self._shape(("cached property",), iter([("function", value.func)]))
        module = str(getattr(value, "__module__", None))
        version = version_of(module)
        if version is not None and _has(module, value):
            return Shape(("wrapper", module, value.__qualname__, version))
        parts = ((name, self._reads.attribute(value, name)) for name in _parts_of(value) or ())
        return self._shape(("wrapper", type(value).__qualname__), iter([*parts, *_hidden(value)]))

    def _shape(self, head: tuple[Any, ...], named: Named) -> Shape:
        """Children are the values; names of globals count, too, and so they are in the head."""
        kept = [(name, value) for name, value in named if not self._is_ignored(name)]
        names = [name for name, _ in kept]
        for name, value in kept:
            if name not in _LASTING:
                self._reads.value(value)
        return Shape((*head, names), [value for _, value in kept], lambda place: f"{names[place]!r} of {_of(head)}")

    def _is_ignored(self, name: str) -> bool:
        if name not in self._ignore:
            return False
        self.ignored.add(name)
        return True

    def _function(self, function: FunctionType) -> Shape:
        head: tuple[Any, ...] = ("function", module_of(function), function.__qualname__)
        code = self._reads.attribute(function, "__code__")
        if is_of_library(code.co_filename):
            module = str(function.__globals__.get("__name__"))  # of its file: `functools.wraps` copies names of others
            named = _has(module, function)
            return self._shape((*head, version_of(module) or ""), iter(()) if named else self._closure(function, code))
        text = text_of(code)
        return self._shape((*head, text.digest), self._all_of(function, code, text))

    def _all_of(self, function: FunctionType, code: CodeType, text: CodeText) -> Named:
        yield from self._closure(function, code, text.free)
        yield from enumerate_defaults(self._reads, function)
        for chain in sorted(text.names):
            if not self._is_ignored(chain[0]):
                yield from self._global(function, chain)
        for imported in text.imports:
            yield from self._imported(function, imported)

    def _closure(self, function: FunctionType, code: CodeType, chains: Iterable[tuple[str, ...]] = ()) -> Named:
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            value = self._reads.attribute(cell, "cell_contents")
            yield name, value
            for chain in sorted(chains):
                if chain[0] == name and len(chain) > 1:
                    yield from self._of_function(value, name, chain[1])

    def _global(self, function: FunctionType, chain: tuple[str, ...]) -> Named:
        value = self._reads.item(function.__globals__, chain[0])
        if value is MISSING:
            value = self._reads.item(_builtins(function), chain[0])
        yield from self._followed(value, chain)

    def _followed(self, value: Any, chain: tuple[str, ...]) -> Named:
        """What a name and attributes of it stand for, given what the name itself does."""
        for place, attribute in enumerate(chain[1:], 1):
            name = ".".join(chain[:place])
            yield from self._of_function(value, name, attribute)
            if not isinstance(value, ModuleType):
                yield name, value
                return
            library = version_of(value.__name__)
            value = self._attribute(value, attribute)
            if library is not None and not isinstance(value, ModuleType) and not is_code(value):
                yield f"{name}.{attribute}", library
                return
        yield ".".join(chain), value

    def _of_function(self, value: Any, name: str, attribute: str) -> Named:
        """An attribute that the program gave to a function, to one that remembers, too, or its docstring."""
        if not isinstance(value, FunctionType) and "__wrapped__" not in (_parts_of(value) or ()):
            return
        given = self._reads.item(value.__dict__, attribute)
        if given is not MISSING:
            yield f"{name}.{attribute}", given
        elif attribute == "__doc__":
            yield f"{name}.{attribute}", self._reads.attribute(value, attribute)

    def _attribute(self, module: ModuleType, name: str) -> Any:
        value = self._reads.item(vars(module), name)
        if value is MISSING:
            value = getattr(module, name, MISSING)
        if value is MISSING and hasattr(module, "__path__") and version_of(module.__name__) is None:
            with suppress(ImportError):  # as ``from package import module`` does
                self._import(f"{module.__name__}.{name}")
                value = self._reads.item(vars(module), name)
        return value

    def _imported(self, function: FunctionType, imported: Import) -> Named:
        name, level = imported.module, imported.level
        try:
            full = resolve_name("." * level + name, function.__globals__.get("__package__") or "") if level else name
            version = version_before_import(full)
            module = self._import(full) if version is None else None
        except ImportError:
            self._reads.item(sys.modules, name)
            yield name, MISSING
            return
        if module is None:
            yield full, version
        elif not self._is_ignored(full):
            base = full.partition(".")[0] if imported.of_top else full
            self._reads.item(sys.modules, full)
            for chain in imported.chains:
                yield from self._followed(self._reads.item(sys.modules, base), (base, *chain))

    def _import(self, name: str) -> ModuleType:
        loaded = name in sys.modules
        module = importlib.import_module(name)
        self.imported |= not loaded and name in sys.modules
        return module

    def _class(self, kind: type) -> Shape:
        version = version_of(kind.__module__)
        if version is not None and (kind.__module__ not in _MAKERS or _has(kind.__module__, kind)):
            return Shape(("class", kind.__module__, kind.__qualname__, version))
        # cloudpickle forgets that a class is inside of another one.
        head = ("class", module_of(kind), kind.__name__, build_of(kind.__module__))
        return self._shape(head, self._all_of_class(kind))

    def _all_of_class(self, kind: type) -> Named:
        if type(kind) is not type:
            yield "its metaclass", type(kind)
        for place, base in enumerate(self._reads.attribute(kind, "__bases__")):
            yield f"base {place}", base
        members = getattr(kind, "__members__", {}) if issubclass(kind, Enum) else {}
        for name, member in members.items():
            yield name, member._value_
        attributes = self._reads.all_of(vars(kind))
        for name in sorted(attributes.keys() - members.keys() - _OF_NO_ACCOUNT):
            value = attributes[name]
            if name == "__annotations__" and not value:
                continue  # made when somebody looks for them
            if not isinstance(value, _SLOTS) and not (members and name.startswith("_") and name.endswith("_")):
                yield name, value

    def _module(self, module: ModuleType) -> Shape:
        head = ("module", module.__name__)
        version = version_of(module.__name__)
        if version is not None:
            return Shape((*head, version))
        return self._shape((*head, build_of(module.__name__)), self._all_of_module(module))

    def _all_of_module(self, module: ModuleType) -> Named:
        attributes = self._reads.all_of(vars(module))
        for name in sorted(attributes.keys() - _OF_NO_ACCOUNT - {"__doc__"}):
            yield name, attributes[name]


def enumerate_defaults(reads: Reads, function: FunctionType) -> Named:
    for place, value in enumerate(reads.attribute(function, "__defaults__") or ()):
        yield f"default {place}", value
    defaults = reads.attribute(function, "__kwdefaults__")
    if defaults:
        yield "defaults of keywords", defaults


def module_of(value: Any) -> str:
    """The name of its module; a script is called the same in all processes."""
    name = value.__module__ or ""
    return MAINS[0] if name in MAINS else str(name)


def _has(module: str, value: Any) -> bool:
    """Whether a library has it by its name, so that name and version say all."""
    found: Any = sys.modules.get(module)
    for name in getattr(value, "__qualname__", "").split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is value


def _hidden(value: Any) -> Named:
    """What an `lru_cache` calls, if `update_wrapper` had it name another function afterwards."""
    if type(value) is _LRU_CACHE:
        held = gc.get_referents(value)
        if not any(each is value.__wrapped__ for each in held):
            yield from (("its function", each) for each in held if callable(each) and each not in _OF_EACH_CACHE)


def _builtins(function: FunctionType) -> dict[str, Any]:
    of_any: Any = function  # which stubs know of it depends on their version
    builtins: dict[str, Any] = of_any.__builtins__
    return builtins


def _of(head: tuple[Any, ...]) -> str:
    return f"{head[0]} {'.'.join(map(str, head[1:3]))}"
