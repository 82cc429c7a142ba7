"""Pickling by value: functions and classes that the reader cannot import go as what they are, not as names.

What cloudpickle does, and besides: so do those of modules that only this process can import (`importable`); code keeps
the name of its file, and where no file has its source (a notebook's cell, an interactive line) the source goes with it.
So tracebacks, warnings, profiles and debuggers show the user's lines in every process. Covers pickling; plain
`pickle.loads` reads the result.
"""

from __future__ import annotations

import io
import linecache
import marshal
import os
from collections import ChainMap
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
from cloudpickle.cloudpickle import _dynamic_class_reduce

from protocol.importable import only_here

_reduce = cloudpickle.Pickler.dispatch_table

_ATOMS = {type(None), type(...), bool, int, float, complex, str, bytes}

_files: set[str] = set()  # absolute names of files that were seen: every process can read them by itself
_received: dict[str, str] = {}  # {file name: source that came with code of it}


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Use it for all that may hold functions: cloudpickle's own names all files ``<dynamic-code>`` (3.1.3)."""

    def __init__(self, file: Any, protocol: int = 5, buffer_callback: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file, protocol, buffer_callback)
        self._only_here = only_here()
        self.taken: set[str] = set()
        """Names of the modules that only this process can import, as far as they were met."""

    def reducer_override(self, obj: Any) -> Any:
        if self._only_here and isinstance(obj, (type, FunctionType)) and obj.__module__ in self._only_here:
            self.taken.add(obj.__module__)
            return _dynamic_class_reduce(obj) if isinstance(obj, type) else self._dynamic_function_reduce(obj)
        return super().reducer_override(obj)


def dumps(value: Any, protocol: int = 5, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
    with io.BytesIO() as file:
        Pickler(file, protocol, buffer_callback).dump(value)
        return file.getvalue()


def names_only_here(pickled: bytes) -> bool:
    """Whether a plain pickle may refer to a module that its reader does not have. Where such a name only occurs in the
    data, the answer is wrong, and pickling by value gives the same values.
    """
    return b"__main__" in pickled or any(
        b"\x8c%c%b" % (len(name), name) in pickled for name in map(str.encode, only_here()) if len(name) < 256
    )


def _reduce_module(module: ModuleType) -> tuple[Any, ...]:
    if module.__name__ not in only_here():
        return _reduce[ModuleType](module)  # type: ignore[no-any-return]
    left_out = ("__builtins__", "__spec__", "__loader__")  # of no use elsewhere, and a loader may hold anything
    return ModuleType, (module.__name__,), {k: v for k, v in vars(module).items() if k not in left_out}


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    source = _source(code)
    if source is None and _is_plain(code):
        return marshal.loads, (marshal.dumps(code),)  # half the time that the fields of code take
    make, fields = _reduce[CodeType](code)
    return _make_code, (code.co_filename, source, make, *fields)


def _is_plain(constant: Any) -> bool:
    """Whether `marshal` gives it back as it was: of a buffer, which a rewriter of byte code may put there, it makes
    bytes.
    """
    kind = type(constant)
    if kind is CodeType:
        return all(map(_is_plain, constant.co_consts))
    return kind in _ATOMS or (kind in (tuple, frozenset) and all(map(_is_plain, constant)))


def _make_code(filename: str, source: str | None, make: Callable[..., CodeType], *fields: Any) -> CodeType:
    if source is not None:
        _receive(filename, source)
    return make(*fields).replace(co_filename=filename)


# A table of its own before cloudpickle's, which other libraries may add to.
Pickler.dispatch_table = ChainMap({CodeType: _reduce_code, ModuleType: _reduce_module}, *_reduce.maps)


def _source(code: CodeType) -> str | None:
    """What is to travel with the code: the source of its file, if this process knows it and no file has it."""
    filename = code.co_filename
    if filename in _files:
        return None
    if os.path.isabs(filename) and os.path.exists(filename):
        _files.add(filename)
        return None
    if filename not in linecache.cache and not filename.startswith("<"):
        return None  # not to be looked for in all directories of the import path
    # Python 3.13 keeps the lines of interactive code beside the cache.
    lines = linecache.getlines(filename) or getattr(linecache, "_getlines_from_code", lambda code: [])(code)
    return "".join(lines) or None


def _receive(filename: str, source: str) -> None:
    """Have `linecache` show the source. Cells run again may share a name: the latest source is shown then."""
    if filename not in linecache.cache or _received.get(filename, source) != source:
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        _received[filename] = source
