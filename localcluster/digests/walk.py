"""`Walk`: the digest of a graph of objects by what it holds.

Each object is described as a head and its children (`Shape`), and its digest is made from the head and the digests of
the children. So what is shared counts as if it was there twice, and strings that Python happens to keep once are as
those that it keeps twice: the memo of a pickle tells them apart, so digests of pickles do not last. Objects on a cycle
are told apart by colours that are refined until no more objects differ, as automata are compared: their digests depend
neither on where the walk began nor on the order of sets. There is no recursion, so any depth will do.

What objects are like is said elsewhere: `shapes` for data, and a function that the walk is made with for code.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from xxhash import xxh3_128_digest

from protocol.errors import UnstableContentError

ATOMS = frozenset({type(None), type(...), bool, int, float, complex, str})
"""Types whose values are encoded by `marshal` of version 2, which does not look at identities, and says each type."""

_LONG = 1 << 12


class Shape(NamedTuple):
    """What an object is: its head, any values of `marshal`, and its children."""

    head: tuple[Any, ...]
    children: Iterable[Any] = ()
    name: Callable[[int], str] = "item {}".format
    """What a message calls a child, by its number."""
    unordered: bool = False


class Leaf(NamedTuple):
    """What an object is that has a digest of its own: for large buffers and what was digested before."""

    digest: bytes


class _Node:
    """An object on the way: its parts are encodings of children, or their nodes."""

    __slots__ = ("children", "digest", "index", "low", "parts", "place", "shape", "value")

    def __init__(self, value: object, shape: Shape, index: int, place: int) -> None:
        self.value = value  # kept, so that no other object gets its id
        self.shape = shape
        self.children: Iterator[Any] = iter(shape.children)
        self.parts: list[bytes | _Node] = []
        self.index = self.low = index
        self.place = place
        self.digest: bytes | None = None

    def hashed(self, digest_of: Callable[[_Node], bytes]) -> bytes:
        parts = [part if type(part) is bytes else b"@" + digest_of(part) for part in self.parts]  # type: ignore[arg-type]
        if self.shape.unordered:
            parts.sort()
        return xxh3_128_digest(b"".join((marshal.dumps(self.shape.head, 2), *parts)))


class Walk:
    """Digests of one or several objects; what was met once is not walked again, so it must not change meanwhile."""

    def __init__(self, describe: Callable[[Any], Shape | Leaf]) -> None:
        self._describe = describe
        self._leaves: dict[int, tuple[object, bytes]] = {}
        self._nodes: dict[int, _Node] = {}
        self._stack: list[_Node] = []  # from the root to where the walk is
        self._open: list[_Node] = []  # met, and maybe on a cycle with what is below them

    def digest(self, root: object) -> bytes:
        """Raises UnstableContentError when something in it has no lasting content; its message says where."""
        try:
            part = self._part(root)
            while self._stack:
                self._step(self._stack[-1])
        except UnstableContentError as e:
            raise e.inside(*self._places()) from e.__cause__
        if type(part) is bytes:
            return xxh3_128_digest(part)
        return _digest_of(part)  # type: ignore[arg-type]

    def _step(self, node: _Node) -> None:
        for child in node.children:
            part = self._part(child)
            node.parts.append(part)
            if self._stack[-1] is not node:
                return
        self._stack.pop()
        if self._stack:
            self._stack[-1].low = min(self._stack[-1].low, node.low)
        if node.low == node.index:
            self._close(node)

    def _places(self) -> Iterator[str]:
        """Where the walk is: the child that each node is at, which is a part of all but the last already."""
        for node in self._stack:
            yield node.shape.name(len(node.parts) - (node is not self._stack[-1]))

    def _part(self, value: Any) -> bytes | _Node:
        if type(value) in ATOMS:
            return marshal.dumps(value, 2)
        kept = self._leaves.get(id(value))
        if kept is not None:
            return kept[1]
        node = self._nodes.get(id(value))
        if node is not None:
            if node.digest is None and self._stack:
                self._stack[-1].low = min(self._stack[-1].low, node.low)
            return node
        plain = _plain(value)
        if plain is not None:
            return plain
        shape = self._describe(value)
        if type(shape) is Leaf:
            self._leaves[id(value)] = value, b"=" + shape.digest
            return b"=" + shape.digest
        node = self._nodes[id(value)] = _Node(value, shape, len(self._nodes), len(self._open))  # type: ignore[arg-type]
        self._stack.append(node)
        self._open.append(node)
        return node

    def _close(self, first: _Node) -> None:
        """All nodes that are open from this one on are on cycles with it."""
        cycle = self._open[first.place :]
        del self._open[first.place :]
        if len(cycle) == 1 and first not in first.parts:
            first.digest = first.hashed(_digest_of)
        else:
            _digest_cycle(cycle)
        for node in cycle:
            node.parts = []


def _digest_of(node: _Node) -> bytes:
    assert node.digest is not None
    return node.digest


def _plain(value: Any) -> bytes | None:
    """The encoding of lists and tuples of nothing but atoms, and of long bytes."""
    kind = type(value)
    if kind is bytes:
        return marshal.dumps(value, 2) if len(value) < _LONG else b"b" + xxh3_128_digest(value)
    if (kind is list or kind is tuple) and ATOMS.issuperset(map(type, value)):
        plain = marshal.dumps(value, 2)
        return plain if len(plain) < _LONG else b"p" + xxh3_128_digest(plain)
    return None


def _digest_cycle(nodes: list[_Node]) -> None:
    """Colours that are refined until they split no more; the digest also holds what each colour turns into, so that
    equal digests mean equal graphs.
    """
    inside = set(map(id, nodes))
    colours = {id(node): b"" for node in nodes}

    def colour_of(node: _Node) -> bytes:
        return colours[id(node)] if id(node) in inside else _digest_of(node)

    count = 1
    while True:
        finer = {id(node): node.hashed(colour_of) for node in nodes}
        found = len(set(finer.values()))
        if found == count:
            break
        colours, count = finer, found
    table = b"".join(sorted({colours[id(node)] + finer[id(node)] for node in nodes}))
    for node in nodes:
        node.digest = xxh3_128_digest(b"cycle" + finer[id(node)] + table)
