"""Unpickling so that numpy arrays own memory which may be changed, or so that none may be, whatever they were pickled
from.

Covers arrays that are read-only views, as those of blocks in shared memory are. A pickle says of each buffer whether it
was read-only, and what is read from it would be again, the copy that a program owns too. Covers arrays in the pickle
itself, too: slices with steps, dates, those of Python objects and of subclasses have no buffer outside of it.
"""

from __future__ import annotations

import ctypes
import io
import pickle
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any


def load_own(payload: bytes | memoryview, buffers: Iterable[bytearray | memoryview] = ()) -> Any:
    """As ``pickle.loads``. Raises what that raises."""
    return _OwningUnpickler(io.BytesIO(payload), buffers=buffers).load()


def load_read_only(payload: bytes | memoryview, buffers: Iterable[memoryview | bytearray] = ()) -> Any:
    """As ``pickle.loads``, of buffers that are read-only; so is every array. Raises what that raises."""
    unpickler = _ProtectingUnpickler(io.BytesIO(payload), buffers=buffers)
    value = unpickler.load()
    for array in unpickler.arrays:
        array.flags.writeable = False
    return value


def in_place(view: memoryview | bytearray) -> memoryview:
    """A buffer for `load_own` that is the view's memory, which has to be writable. It keeps the view's owner alive."""
    return memoryview((ctypes.c_char * len(view)).from_buffer(view)).cast("B")


class _OwningUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        # Where numpy puts an array together. The package's name inside numpy differs between its versions.
        is_array = name == "_frombuffer" and module.startswith("numpy.")
        return partial(_make_writable, found) if is_array else found


class _ProtectingUnpickler(pickle.Unpickler):
    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.arrays: list[Any] = []
        """Those that came in the pickle; they get their elements after they are made."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        is_array = name in ("_reconstruct", "_mareconstruct") and module.startswith("numpy.")
        return partial(self._noted, found) if is_array else found

    def _noted(self, make_array: Callable[..., Any], *described: Any) -> Any:
        self.arrays.append(make_array(*described))
        return self.arrays[-1]


def _make_writable(make_array: Callable[..., Any], data: Any, *described: Any) -> Any:
    """``data``: one of the buffers, as a read-only view where it was that when it was pickled; bytes in the pickle."""
    view = memoryview(data)
    if view.readonly:
        data = view.obj if isinstance(view.obj, (bytearray, ctypes.Array)) else bytearray(view)
    return make_array(data, *described)
