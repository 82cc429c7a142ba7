"""The page of the model, docs/fault-injection.md, has every word of the vocabulary and what it means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localcluster import faults
from localcluster.faults.keys import KEYS
from localcluster.faults.rule import Where
from localcluster.faults.vocabulary import ACTIONS, MOMENTS

PAGE = (Path(__file__).parents[3] / "docs" / "fault-injection.md").read_text()


def table(title: str) -> list[str]:
    """The rows below a head that starts so."""
    head = re.search(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert head is not None, title
    return head[1].splitlines()


def test_actions() -> None:
    def takes(name: str) -> str:
        action = ACTIONS[name]
        return ", ".join([*(f"**`{key}`**" for key in action.needs), *(f"`{key}`" for key in action.takes)])

    assert table("Action") == [f"| `{name}` | {takes(name)} | {action.doc} |" for name, action in ACTIONS.items()]


@pytest.mark.parametrize("part", ["what", "where", "when"])
def test_keys(part: str) -> None:
    keys = [key for key in KEYS.values() if key.part == part]
    assert table(f"Key: {part}") == [f"| `{key.name}` | {key.accepts} | {key.doc} |" for key in keys]


def test_moments() -> None:
    def chooses(facts: frozenset[str]) -> str:
        return ", ".join(f"`{name}`" for name in Where._fields if name in facts)

    assert table("Moment") == [
        f"| `{name}` | {', '.join(moment.roles)} | {chooses(moment.facts)} | {moment.doc} |"
        for name, moment in MOMENTS.items()
    ]


def test_the_rules_of_the_page_mean_something() -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    rules = [line.partition("  #")[0] for kind, block in blocks if not kind for line in block.splitlines()]
    assert len(rules) > 10
    for rule in rules:
        assert faults.plan(rule).rules
