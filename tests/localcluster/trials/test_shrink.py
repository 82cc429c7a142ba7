"""The fewest rules that still show it, whatever it takes to show it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from localcluster.trials.shrink import shrink

RULES = [f"kill nth={n}" for n in range(6)]


@given(st.lists(st.sampled_from(RULES), unique=True, min_size=1), st.data())
def test_what_is_left_shows_it_and_nothing_of_it_can_go(rules: list[str], data: st.DataObject) -> None:
    needed = set(data.draw(st.lists(st.sampled_from(rules), unique=True, min_size=1)))
    assert set(shrink(rules, lambda some: needed <= set(some))) == needed


def test_what_is_seen_only_once_leaves_the_whole_plan() -> None:
    assert shrink(RULES, lambda some: False) == RULES


def test_one_rule_is_not_tried_again() -> None:
    def never(some: Sequence[str]) -> bool:
        raise AssertionError(some)

    assert shrink(["kill nth=1"], never) == ["kill nth=1"]
