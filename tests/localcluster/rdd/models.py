"""Random data for the model tests: records, partitionings and the ways to check a result against plain Python."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from tests.localcluster.rdd.local_context import LocalContext

# Each example is a few jobs, in which everything is pickled: fewer examples than usual.
jobs = settings(max_examples=40)

keys = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from(["", "a", "b"]),
    st.tuples(st.none() | st.integers(0, 1), st.booleans()),
    st.sampled_from([1.0, 2.5, True]),
)
values = st.one_of(st.none(), st.integers(-9, 9), st.lists(st.integers(0, 3), max_size=2), st.just({"un": "hashable"}))
pairs = st.tuples(keys, values)


def partitions(records: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[list[list[Any]]]:
    """Partitions, many of them empty."""
    return st.lists(st.lists(records, max_size=6), min_size=1, max_size=most)


counts = st.none() | st.integers(1, 5)  # numPartitions


def flat(parts: list[list[Any]]) -> list[Any]:
    return [record for part in parts for record in part]


def make(parts: list[list[Any]]) -> Any:
    """An RDD with exactly these partitions, in a context of its own."""
    return LocalContext().parts(parts)


def grouped(records: list[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    """{key: its values in order}, keys in the order in which they first appear."""
    groups: dict[Any, list[Any]] = {}
    for key, value in records:
        groups.setdefault(key, []).append(value)
    return groups


def same_bag(actual: list[Any], expected: list[Any]) -> bool:
    """Whether both hold the same records as often, in any order; records need not be hashable or comparable."""
    left = list(expected)
    for record in actual:
        if record not in left:
            return False
        left.remove(record)
    return not left


def placed(rdd: Any) -> bool:
    """Whether each pair is where its RDD's partitioner says."""
    return all(rdd.partitioner(key) == i for i, part in enumerate(rdd.glom().collect()) for key, _ in part)
