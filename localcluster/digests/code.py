"""`code_digest`: what a function is, by its code and all that it refers to; kept, and looked at again at each call."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from localcluster.digests.code_shapes import CodeShapes, is_code
from localcluster.digests.reads import MARKS, Reads
from localcluster.digests.shapes import SHAPES, shape_of_object
from localcluster.digests.walk import Leaf, Shape, Walk

_KEPT = 256
_kept: dict[int, Code] = {}


def code_digest(value: Any) -> bytes:
    """Of a function, class or module: 16 bytes, the same in each process that has the same code (see `code_shapes`).

    Raises UnstableContentError when it refers to something that has no lasting content, such as an open file.
    """
    code = _kept.get(id(value))
    if code is None or code.value is not value:
        if len(_kept) >= _KEPT:
            _kept.clear()
        code = _kept[id(value)] = Code(value)
    return code.digest()


class Code:
    """The digest of a function's code, made anew when something was bound anew that it was made of."""

    def __init__(self, value: Any, ignore: Collection[str] = ()) -> None:
        self.value = value
        self._ignore = ignore
        self._made: tuple[Reads, bytes] | None = None
        self.ignored: set[str] = set()
        """Names that are to be ignored and were found."""

    def digest(self) -> bytes:
        made = self._made
        if made is not None and made[0].hold():
            return made[1]
        imported = True
        while imported:  # as what was imported is an attribute of its package now
            reads, digest, imported = self._make()
        self._made = reads, digest
        return digest

    def _make(self) -> tuple[Reads, bytes, bool]:
        reads = Reads(is_code, _shape_of_data)
        shapes = CodeShapes(reads, self._ignore)
        reads.value(self.value)  # a callable object, that is
        digest = Walk(lambda value: _shape_with_code(shapes, value)).digest(self.value)
        reads.freeze()
        self.ignored |= shapes.ignored
        return reads, digest, shapes.imported


def _shape_with_code(shapes: CodeShapes, value: Any) -> Shape | Leaf:
    if type(value) in MARKS:
        return Shape(("mark", type(value).__name__))
    data = SHAPES.get(type(value))
    if data is not None:
        return data(value)
    return shapes.shape_of(value) if is_code(value) else shape_of_object(value)


def _shape_of_data(value: Any) -> Shape | Leaf:
    data = SHAPES.get(type(value))
    return data(value) if data is not None else shape_of_object(value)
