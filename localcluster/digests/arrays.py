"""What numpy's arrays, scalars and types are like, for a walk: type, shape and elements, in the order of C.

How an array lies in memory is not content: views, transposed arrays and memory maps are equal to copies of them. Arrays
are hashed where they lie, or in pieces of some hundred kilobytes where that is not in order. Bits count, so 0.0 and
-0.0 differ; what lies in padding does not, but where fields lie does, which their type tells.
"""

from __future__ import annotations

import gc
import marshal
import pickle
import sys
from typing import Any

from xxhash import xxh3_128

from localcluster.digests.walk import Leaf, Shape
from protocol.errors import UnstableContentError

_PIECE = 1 << 16
"""Elements that are brought in order at a time."""


def shape_of(np: Any, value: Any) -> Shape | Leaf | None:
    """None if numpy's own reduction will do."""
    if isinstance(value, np.ndarray):
        return _array(np, value)
    if isinstance(value, np.generic):
        if type(value).__module__ != "numpy" or value.dtype.names or value.dtype.char in "gG":
            return Shape(("numpy scalar",), (type(value), np.asarray(value)))
        digest = xxh3_128(marshal.dumps(("numpy scalar", value.dtype.str), 2))
        digest.update(value.tobytes())
        return Leaf(digest.digest())
    if isinstance(value, np.ufunc):
        return _ufunc(value)
    if isinstance(value, np.vectorize):  # which keeps what it made of its function at a call
        state = {name: part for name, part in vars(value).items() if name != "_ufunc"}
        return Shape(("vectorize",), (type(value), state), ("its class", "its state").__getitem__)
    return _dtype(value) if isinstance(value, np.dtype) else None


def _ufunc(value: Any) -> Shape | None:
    """Of one that `frompyfunc` made; others are found by name."""
    functions = [*filter(callable, gc.get_referents(value))]
    if functions:
        return Shape(("ufunc", value.nin, value.nout), (value.identity, *functions), "its function".format)
    module = sys.modules.get(pickle.whichmodule(value, value.__name__))  # type: ignore[attr-defined]
    if getattr(module, value.__name__, None) is not value:
        raise UnstableContentError(f"a ufunc that no module has as {value.__name__!r} says nothing of its function")
    return None


def _dtype(dtype: Any) -> Shape | None:
    if dtype.names:
        fields = [dtype.fields[name] for name in dtype.names]
        head = ("dtype", dtype.names, dtype.itemsize, dtype.isalignedstruct)
        return Shape(head, (dtype.type, {**(dtype.metadata or {})}, *fields))
    if dtype.metadata:
        return Shape(("dtype with metadata", dtype.str), ({**dtype.metadata},))
    if dtype.subdtype:
        return Shape(("dtype of arrays", dtype.shape), (dtype.base,))
    return Shape(("dtype", dtype.str)) if dtype.char in "?bhilqpBHILQPefdgFDGSUVOMm" else None


def _array(np: Any, value: Any) -> Shape | Leaf:
    if isinstance(value, np.ma.MaskedArray):
        names = ("its class", "its data", "its mask", "its fill value", "its mask's hardness")
        parts = (type(value), value.data, np.ma.getmaskarray(value), value.fill_value, value.hardmask)
        return Shape(("masked",), parts, names.__getitem__)
    if type(value) not in (np.ndarray, np.memmap):
        return Shape(("array",), (type(value), value.view(np.ndarray), getattr(value, "__dict__", None)))
    dtype = value.dtype
    if dtype.names:
        fields = [value[name] for name in dtype.names]
        return Shape(("fields", value.shape), (dtype, *fields), lambda place: f"field {dtype.names[place - 1]!r}")
    if dtype.metadata:
        return Shape(("array with metadata",), (dtype, value.view(dtype.str)), ("its type", "its elements").__getitem__)
    if dtype.char not in "?bhilqpBHILQPefdgFDGSUVMm":
        return Shape(
            ("elements", value.shape), (dtype, value.ravel().tolist()), ("its type", "its elements").__getitem__
        )
    digest = xxh3_128(marshal.dumps(("elements", dtype.str, value.shape), 2))
    if value.nbytes and value.flags.c_contiguous:
        digest.update(_bytes(np, value))
    elif value.nbytes:
        flags = ["external_loop", "buffered"]
        for piece in np.nditer(value, flags, order="C", buffersize=_PIECE):
            digest.update(_bytes(np, np.ascontiguousarray(piece)))
    return Leaf(digest.digest())


def _bytes(np: Any, value: Any) -> Any:
    """The bytes of a contiguous array, as numpy exports dates by no other way."""
    data = value.reshape(-1).view(np.uint8)
    if value.dtype.char in "gG" and np.finfo(np.longdouble).nmant == 63:  # of x86: ten bytes, and padding
        return np.ascontiguousarray(data.reshape(-1, np.dtype(np.longdouble).itemsize)[:, :10])
    return data
