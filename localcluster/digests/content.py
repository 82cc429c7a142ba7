"""`content_digest`: a digest of any value by its content, the same in each process and run, and for no two values.

Types count: 1, True and 1.0 differ. See `shapes` for data, `code_shapes` for functions, classes and modules.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xxhash import xxh3_128_digest

from localcluster.digests.code import code_digest
from localcluster.digests.code_shapes import is_code
from localcluster.digests.shapes import SHAPES, shape_of_object
from localcluster.digests.walk import ATOMS, Leaf, Shape, Walk
from protocol.errors import UnstableContentError


def content_digest(value: Any) -> bytes:
    """16 bytes. Raises UnstableContentError when something in the value has no content that lasts, such as a lock."""
    return Walk(_shape_of).digest(value)


def digest_of_arguments(names: Sequence[str], values: tuple[Any, ...], defaults: Sequence[Any]) -> bytes:
    """The digest of bound arguments, whose names are for messages. An ``object()`` may be one that is the default.

    Raises UnstableContentError as `content_digest` does.
    """
    if ATOMS.issuperset(map(type, values)):
        return xxh3_128_digest(marshal.dumps(values, 2))
    if object in map(type, values):
        pairs = zip(values, defaults, strict=True)
        values = tuple(_DEFAULT if value is default and type(value) is object else value for value, default in pairs)
    try:
        return Walk(_shape_of).digest(_Arguments(names, values))
    except UnstableContentError as e:
        name = e.places[0].removeprefix("argument ")
        raise UnstableContentError(f"{e.what}. If the result does not depend on it: ignore=[{name}]", *e.places) from e


@dataclass(frozen=True)
class FileState:
    """A file as an argument: its path, size and time of change are its content, so a changed file is another one."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileState:
        status = os.stat(path)
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)


class _Default:
    """In place of a default that is an ``object()``, which each process makes anew."""


_DEFAULT = _Default()


class _Arguments:
    """A call's arguments, bound to their names."""

    def __init__(self, names: Sequence[str], values: tuple[Any, ...]) -> None:
        self.names = names
        self.values = values


def _shape_of(value: Any) -> Shape | Leaf:
    data = SHAPES.get(type(value))
    if data is not None:
        return data(value)
    if type(value) is _Arguments:
        return Shape(("arguments",), value.values, lambda place: f"argument {value.names[place]!r}")
    return Leaf(code_digest(value)) if is_code(value) else shape_of_object(value)
