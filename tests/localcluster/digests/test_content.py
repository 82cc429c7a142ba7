"""The digest of a value: the same for equal content in every process, another for any other content."""

from __future__ import annotations

import copy
import math
import os
import pickle
import re
import socket
import threading
from array import array
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType, MethodType, SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcluster import FileState
from localcluster.digests.content import content_digest
from protocol.errors import UnstableContentError
from tests.localcluster.digests import things
from tests.localcluster.digests.digests_elsewhere import in_another_process
from tests.localcluster.digests.things import (
    Access,
    Colour,
    Frozen,
    Locked,
    Machine,
    Node,
    Point,
    Record,
    Slotted,
    Words,
)

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.sampled_from([*Colour, Access.READ, Access.READ | Access.WRITE, ...]),
)
keys = st.recursive(atoms, lambda inner: st.frozensets(inner, max_size=4) | st.tuples(inner, inner), max_leaves=6)
values = st.recursive(
    keys,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(keys, max_size=5),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Record, st.text(max_size=3), st.lists(inner, max_size=2)),
        st.builds(Slotted, inner, inner),
    ),
    max_leaves=12,
)


def told_apart(value: Any) -> Any:
    """Something that is equal only for values that are to have equal digests."""
    kind = type(value)
    if kind in (set, frozenset):
        return kind, frozenset(map(told_apart, value))
    if kind is dict:
        return kind, tuple((told_apart(key), told_apart(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(told_apart, value))
    if kind is Record:
        return kind, value.name, told_apart(value.values)
    if kind is Slotted:
        return kind, told_apart(value.left), told_apart(value.right)
    return kind, repr(value)


@settings(max_examples=300, deadline=None)
@given(values, values)
def test_digests_are_equal_where_contents_are(one: Any, other: Any) -> None:
    assert (content_digest(one) == content_digest(other)) == (told_apart(one) == told_apart(other))


@settings(max_examples=200, deadline=None)
@given(values)
def test_the_digest_of_a_copy_is_the_same(value: Any) -> None:
    digest = content_digest(value)
    assert content_digest(copy.deepcopy(value)) == digest
    assert content_digest(pickle.loads(pickle.dumps(value))) == digest
    assert content_digest([value, value]) == content_digest([value, copy.deepcopy(value)])


def loop() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


def ring() -> Node:
    a, b, c = map(Node, "abc")
    a.others, b.others, c.others = [b], [c, a], [a, b]
    return a


ONE_BY_ONE: list[Any] = [
    *(MethodType(things.helper, 1), MethodType(things.other, 1)),
    *(
        1,
        True,
        1.0,
        1 + 0j,
        "1",
        b"1",
        bytearray(b"1"),
        memoryview(b"1"),
        array("b", b"1"),
        [1],
        (1,),
        {1},
        frozenset([1]),
    ),
    *(0.0, -0.0, math.nan, math.inf, "", b"", [], (), {}, set(), frozenset(), None, ..., NotImplemented),
    *("a", b"a", "\ud800", "a" * 5000, b"a" * 5000, ["a" * 5000], [b"a" * 5000], "ä", "a\u0308"),
    *(
        [[]],
        [()],
        [[], []],
        [[[]]],
        ([],),
        {0: []},
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        {1: 2},
        {(1, 2)},
        [1, 2],
        [[1], 2],
    ),
    *({1, 2}, {(1, 2), (3, 4)}, {(1, 3), (2, 4)}, {frozenset([1, 2]), 3}, Words("ab"), Words("ac")),
    *(range(3), range(4), slice(3), slice(0, 3), datetime(2026, 1, 1), date(2026, 1, 1)),
    *(datetime(2026, 1, 1, fold=1), datetime(2026, 1, 1, tzinfo=timezone.utc), timedelta(1), timedelta(seconds=1)),
    *(Decimal("1.0"), Decimal("1.00"), Fraction(1, 3), UUID(int=1), re.compile("a"), re.compile("a", re.I)),
    *(Path("a/b"), PurePosixPath("a/b"), Path("b"), Colour.RED, Colour.BLUE, Access.READ, Access.READ | Access.WRITE),
    *(Point(1, 2), Point(2, 1), (1, 2), Record("a", [1]), Record("a", [2]), Record("a"), Frozen(1), Slotted(1, 2)),
    *(OrderedDict(a=1), defaultdict(list, a=1), defaultdict(set, a=1), Counter("ab"), deque([1]), deque([1], 2)),
    *(SimpleNamespace(a=1), ChainMap({1: 2}), MappingProxyType({1: 2}), ValueError(1), TypeError(1)),
    *(loop(), [loop()], ring(), ring().others[0], Node("a"), Node("b")),
    *(
        int,
        list,
        Machine,
        Record,
        Colour,
        things.helper,
        things.other,
        things.cached,
        things.add_one,
        partial(things.helper, 2),
    ),
    *(
        Machine().run,
        Machine.still,
        Machine.made,
        Machine(),
        len,
        [].append,
        [1].append,
        str.upper,
        "a".upper,
        math.sin,
    ),
    *(math, things, np, np.sum, np.add, list[int], dict[str, int], int | str),
    *(np.arange(6), np.arange(6).reshape(2, 3), np.arange(6.0), np.arange(6, dtype=">i8"), np.arange(6).tolist()),
    *(np.zeros(0), np.zeros((0, 2)), np.zeros(()), np.zeros(1), np.float64(0), np.float32(0), np.int64(0), np.bool_(0)),
    *(np.array(["a", None], object), np.array([["a", None]], object), np.array(["a", "b"]), np.array([b"a", b"b"])),
    *(
        np.array(["2026"], "M8[Y]"),
        np.array(["2026"], "M8[D]"),
        np.array([1], "m8[s]"),
        np.datetime64("2026"),
        np.longdouble(1),
    ),
    *(np.array([(1, 2.0)], [("a", int), ("b", float)]), np.array([(1, 2.0)], [("a", int), ("c", float)])),
    *(np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0]), np.ma.array([1, 2]), np.array([1, 2])),
    *(np.dtype("i4"), np.dtype("f4"), np.dtype([("a", "i4")]), np.dtype(("i4", (2,))), np.random.default_rng(1)),
]


def test_no_two_of_many_kinds_of_values_have_the_same_digest() -> None:
    found: dict[bytes, Any] = {}
    for value in ONE_BY_ONE:
        digest = content_digest(value)
        assert digest not in found, (found.get(digest), value)
        assert content_digest(value) == digest
        assert len(digest) == 16
        found[digest] = value


def test_digests_are_the_same_in_another_process_with_another_hash_seed() -> None:
    drawn = [value for value in ONE_BY_ONE if is_picklable(value)]

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(values)
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    assert len(drawn) > 200
    assert in_another_process(drawn) == [content_digest(value).hex() for value in drawn]


def is_picklable(value: Any) -> bool:
    try:
        pickle.loads(pickle.dumps(value))
    except (AttributeError, TypeError, pickle.PicklingError):
        return False
    return True


def test_an_order_that_a_program_can_see_counts() -> None:
    assert content_digest({"a": 1, "b": 2}) != content_digest({"b": 2, "a": 1})
    words = [f"word {i}" for i in range(100)]
    assert content_digest(set(words)) == content_digest({*words[::-1]})
    assert content_digest(Words(words)) == content_digest(Words(words[::-1]))


def test_strings_that_python_keeps_once_are_as_others() -> None:
    """Where digests are of pickles, they are not."""
    a, b = "a" * 20, "".join(["a"] * 20)
    assert content_digest(["x", {a: [a, a]}]) == content_digest(["x", {b: [a, b]}])
    number, equal = np.int64(10), np.int64(10)
    assert content_digest({"a": number, "b": number}) == content_digest({"a": number, "b": equal})


def test_cycles_are_told_by_their_form_and_not_by_where_they_begin() -> None:
    assert content_digest(ring()) == content_digest(ring())
    a = ring()
    a.others[0].others.reverse()
    assert content_digest(a) != content_digest(ring())
    a = ring()
    assert content_digest([a, a.others[0]]) == content_digest([ring(), ring().others[0]])
    one: dict[Any, Any] = {}
    one["self"] = [one, {1, 2}]
    two: dict[Any, Any] = {"self": [None, {2, 1}]}
    two["self"][0] = two
    assert content_digest(one) == content_digest(two)


edges = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=12)


class Vertex:
    """Of a graph: its edges are in a list or in a set."""

    def __init__(self, label: int) -> None:
        self.label = label
        self.listed: list[Vertex] = []
        self.others: set[Vertex] = set()


def graph(labels: list[int], lines: list[tuple[int, int, bool]]) -> list[Vertex]:
    vertices = [Vertex(label) for label in labels]
    for start, end, listed in lines:
        (vertices[start].listed.append if listed else vertices[start].others.add)(vertices[end])
    return vertices


def alike(one: Vertex, other: Vertex) -> bool:
    """Whether no way through the graphs leads to a difference: supposed, until a difference is found."""
    pairs = {(a, b) for a in reached(one) for b in reached(other)}
    before = None
    while before != pairs:
        before, pairs = pairs, {(a, b) for a, b in pairs if fit(a, b, pairs)}
    return (one, other) in pairs


def reached(start: Vertex) -> set[Vertex]:
    found, new = {start}, [start]
    while new:
        vertex = new.pop()
        new += {*vertex.listed, *vertex.others} - found
        found.update(new)
    return found


def fit(a: Vertex, b: Vertex, pairs: set[tuple[Vertex, Vertex]]) -> bool:
    lists = len(a.listed) == len(b.listed) and all(pair in pairs for pair in zip(a.listed, b.listed, strict=True))
    there = all(any((x, y) in pairs for y in b.others) for x in a.others)
    return a.label == b.label and lists and there and all(any((x, y) in pairs for x in a.others) for y in b.others)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=6, max_size=6), edges, edges, st.permutations(range(6)))
def test_graphs_with_equal_digests_are_alike(labels: list[int], lines: Any, others: Any, order: list[int]) -> None:
    one, other = graph(labels, lines), graph(labels, others)
    for a, b in zip(one, other, strict=True):
        assert content_digest(a) != content_digest(b) or alike(a, b)
    inverse = {new: old for old, new in enumerate(order)}
    moved = graph([labels[inverse[i]] for i in range(6)], [(order[a], order[b], listed) for a, b, listed in lines])
    assert [content_digest(vertex) for vertex in one] == [content_digest(moved[order[i]]) for i in range(6)]
    assert content_digest(one) == content_digest([moved[order[i]] for i in range(6)])


def test_any_depth_will_do_and_shared_parts_are_walked_once() -> None:
    deep: Any = None
    for _ in range(50_000):
        deep = [deep, 1]
    assert len(content_digest(deep)) == 16
    while deep is not None:
        deep = deep[0]
    wide: Any = [1, "x", {}]
    for _ in range(100):
        wide = [wide, wide]
    assert content_digest(wide) == content_digest([wide[0], wide[1]])


@pytest.mark.parametrize(
    "equal",
    [
        lambda a: a[::2],
        lambda a: a.T,
        lambda a: a[:, 1],
        lambda a: a[::-1, ::3],
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[0], a.shape),
        lambda a: a.astype("M8[s]")[::2],
        lambda a: a.astype(bool).T,
        lambda a: a.astype("U3").T,
        lambda a: a.astype(object).T,
        lambda a: a.astype(np.longdouble)[::2],
        lambda a: np.ma.array(a, mask=a % 2).T,
    ],
)
def test_how_an_array_lies_in_memory_is_not_content(equal: Any) -> None:
    view = equal(np.arange(400 * 500).reshape(400, 500) % 251)
    assert content_digest(view) == content_digest(view.copy())
    changed = view.copy()
    changed.flat[-1] = changed.flat[-2] if changed.flat[-1] != changed.flat[-2] else not changed.flat[-1]
    assert content_digest(changed) != content_digest(view)


def test_padding_is_not_content() -> None:
    kind = np.dtype([("a", "i1"), ("b", "i8"), ("c", [("d", "f4"), ("e", "O")])], align=True)
    one, other = np.empty(5, kind), np.empty(5, kind)
    for each in (one, other):
        each["a"], each["b"], each["c"]["d"], each["c"]["e"] = 1, 2, 3, "x"
    assert content_digest(one) == content_digest(other)
    zeros, ones = np.zeros(16, "u1").view(np.longdouble), np.full(16, 255, "u1").view(np.longdouble)
    zeros[0] = ones[0] = 1.5
    assert content_digest(zeros) == content_digest(ones)
    packed = np.array([(1, 2)], np.dtype([("a", "i1"), ("b", "i8")]))
    aligned = packed.astype(np.dtype([("a", "i1"), ("b", "i8")], align=True))
    assert content_digest(packed) != content_digest(aligned), "a function sees the size of an element"
    assert content_digest(aligned[["b"]]) == content_digest(aligned[["b"]].copy())


def test_types_of_records_tell_where_the_fields_lie() -> None:
    formats = {"names": ["a", "b"], "formats": ["i1", "i8"]}
    kinds = [
        np.dtype(formats),
        np.dtype(formats, align=True),
        *(np.dtype({**formats, "offsets": offsets}) for offsets in ([0, 2], [0, 8], [8, 0])),
        np.dtype({**formats, "itemsize": 32}),
        np.dtype({**formats, "titles": ["x", "y"]}),
        np.dtype((np.record, np.dtype(formats))),
        *(np.dtype("O", metadata={"vlen": kind}) for kind in (str, bytes)),  # as h5py's
        *(np.dtype("i4", metadata={"enum": {"a": number}}) for number in (1, 2)),
    ]
    assert len({content_digest(kind) for kind in kinds}) == len(kinds)
    assert len({content_digest(np.zeros(2, kind)) for kind in kinds}) == len(kinds)
    assert len({content_digest(lambda kind=kind: kind) for kind in kinds}) == len(kinds)


def test_a_memory_map_is_the_array_that_it_shows(tmp_path: Path) -> None:
    a = np.arange(1000.0)
    np.save(tmp_path / "a.npy", a)
    assert content_digest(np.load(tmp_path / "a.npy", mmap_mode="r")) == content_digest(a)


def test_a_large_array_is_not_copied() -> None:
    import tracemalloc

    a = np.zeros((4000, 1000))
    tracemalloc.start()
    try:
        content_digest({"a": a, "b": a.T})
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_has_no_content_is_named_with_its_place(tmp_path: Path) -> None:
    with open(tmp_path / "f", "w") as file, socket.socket() as connection:
        cases: list[tuple[Any, str]] = [
            (file, "a _io.TextIOWrapper has no content"),
            ([1, {"x": connection}], "item 1, value of key 'x': a socket.socket has no content"),
            ((1, (i for i in [])), "item 1: a generator has no content"),
            ({"a": [Locked()]}, "value of key 'a', item 0, attribute 'lock': a _thread.lock has no content"),
            ({1: Record("x", [threading.local()])}, "value of key 1, attribute 'values', item 0: a _thread._local"),
            (
                Point(1, threading.Event()),
                "its arguments, item 2, attribute '_cond', attribute '_lock': a _thread.lock",
            ),
            ([object()], "item 0: an object\\(\\) is only itself"),
            (np.array([1, file], object), "its elements, item 1"),
        ]
        for value, told in cases:
            with pytest.raises(UnstableContentError, match=told):
                content_digest(value)
    error = UnstableContentError("what", "a", "b")
    assert str(pickle.loads(pickle.dumps(error))) == "a, b: what"


def test_a_file_is_told_by_its_size_and_time_of_change(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("one")
    os.utime(path, ns=(1, 1))
    before = content_digest(FileState.of(path))
    assert content_digest(FileState.of(str(path))) == before
    os.utime(path, ns=(1, 2))
    assert content_digest(FileState.of(path)) != before
    assert content_digest(path) == content_digest(Path(str(path)))


def test_what_a_class_gives_to_pickle_is_its_content() -> None:
    class Own:
        def __init__(self, x: int) -> None:
            self.x, self.seen = x, threading.Lock()

        def __getstate__(self) -> int:
            return self.x

    assert content_digest(Own(1)) == content_digest(Own(1)) != content_digest(Own(2))


def test_an_instance_is_another_when_its_class_has_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = content_digest([Machine()])
    with monkeypatch.context() as patched:
        patched.setattr(Machine, "limit", 4)
        assert content_digest([Machine()]) != before
    assert content_digest([Machine()]) == before
    with monkeypatch.context() as patched:
        patched.setattr(things, "other", lambda x: 0)
        assert content_digest([Machine()]) != before
