"""The two ways to visit all that something is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd.lineage import parents_first, walk

Graph = Mapping[int, Sequence[int]]  # {node: its parents, which are smaller}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    return {node: draw(st.lists(st.integers(0, node - 1), max_size=4)) if node else [] for node in range(8)}


def behind(graph: Graph, *nodes: int) -> set[int]:
    return {*nodes}.union(*(behind(graph, *graph[node]) for node in nodes if graph[node]))


@given(graphs())
def test_a_walk_comes_to_each_once_and_to_none_but_by_a_child(graph: Graph) -> None:
    came = list(walk(7, graph.__getitem__))
    assert sorted(came) == sorted(behind(graph, 7))
    assert came[0] == 7
    for place, node in enumerate(came[1:], 1):
        assert any(node in graph[child] for child in came[:place])


def test_a_walk_follows_the_last_parent_first_and_does_not_ask_beyond_what_is_taken() -> None:
    asked: list[str] = []

    def parents(node: str) -> list[str]:
        asked.append(node)
        return [node + "a", node + "b"] if len(node) < 3 else []

    steps = walk("", parents)
    assert [next(steps) for _ in range(5)] == ["", "b", "bb", "bbb", "bba"]
    assert asked == ["", "b", "bb", "bbb"]


@given(graphs(), st.lists(st.integers(0, 7), max_size=3))
def test_parents_come_first_and_each_once(graph: Graph, nodes: list[int]) -> None:
    asked: list[int] = []

    def parents(node: int) -> Sequence[int]:
        asked.append(node)
        return graph[node]

    came = list(parents_first(nodes, parents))
    assert sorted(came) == sorted(asked) == sorted(behind(graph, *nodes))
    for place, node in enumerate(came):
        assert set(graph[node]) <= set(came[:place])


def test_neither_recurses_nor_goes_each_of_very_many_paths() -> None:
    def two_paths(node: int) -> list[int]:
        return [node - 1, node - 1] if node else []

    assert list(walk(5000, two_paths)) == list(range(5000, -1, -1))
    assert list(parents_first([5000], two_paths)) == list(range(5001))
