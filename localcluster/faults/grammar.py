"""Plans as text, both ways, and from TOML files.

A rule is an action and then ``key=value`` words; rules are separated by ``;`` or ends of lines::

    kill executor=1 after_tasks=5; raise exception=ValueError stage=2 at=middle records=100

Values need no quotes: none has a space. In TOML each rule is a table ``[[fault]]`` with ``action`` and the keys, and
``seed`` stands at the top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from localcluster.faults.check import check
from localcluster.faults.fault_plan import Plan
from localcluster.faults.keys import KEYS, rule_text, text_of
from localcluster.faults.rule import Rule, What, When, Where
from localcluster.faults.vocabulary import ACTIONS, unknown
from protocol.errors import FaultPlanError
from storage import os_layer


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a text. Raises FaultPlanError that names what is wrong, and what was meant."""
    return tuple(_parse_rule(part) for part in re.split(r"[;\n]", text) if part.strip())


def _parse_rule(text: str) -> Rule:
    action, *words = text.split()
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals:
            raise FaultPlanError(f"{text.strip()!r}: what is {name!r} to mean? After the action come words key=value")
    return _rule(text.strip(), action, [(name, value) for name, _, value in pairs])


def text(rules: Iterable[Rule]) -> str:
    """The text that means these rules."""
    return "; ".join(map(rule_text, rules))


def read_toml(path: str) -> Plan:
    """The plan in a file. Raises FaultPlanError that names the file."""
    try:
        return _of_toml(os_layer.read_all(path).decode())
    except (OSError, ValueError) as error:  # FaultPlanError is one, and so are those of TOML and of UTF-8
        raise FaultPlanError(f"{path}: {error}") from error


def _of_toml(text: str) -> Plan:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    content = tomllib.loads(text)
    for name in content.keys() - {"seed", "fault"}:
        raise unknown("key", name, ("seed", "fault"))
    seed, tables = content.get("seed", 0), content.get("fault", [])
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise FaultPlanError(f"seed must be a whole number, not {seed!r}")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise FaultPlanError("each fault is a table [[fault]]")
    return Plan([_of_table(dict(table)) for table in tables], seed)


def _of_table(table: dict[str, Any]) -> Rule:
    where = ", ".join(f"{name} = {value!r}" for name, value in table.items())
    action = table.pop("action", None)
    if not isinstance(action, str):
        raise FaultPlanError(f"[[fault]] {where}: its action is missing")
    return _rule(where, action, [(name, text_of(name, value)) for name, value in table.items()])


def _rule(where: str, action: str, pairs: list[tuple[str, str]]) -> Rule:
    """``where`` is how errors call it."""
    parts: dict[str, dict[str, Any]] = {"what": {}, "where": {}, "when": {}}
    try:
        if action not in ACTIONS:
            raise unknown("action", action, ACTIONS)
        seen = set()
        for name, value in pairs:
            if name not in KEYS:
                raise unknown("key", name, KEYS)
            if name in seen:
                raise FaultPlanError(f"{name}= is given twice")
            seen.add(name)
            parts[KEYS[name].part][name] = KEYS[name].parse(value)
    except FaultPlanError as error:
        raise FaultPlanError(f"{where!r}: {error}") from None
    rule = Rule(What(action, **parts["what"]), Where(**parts["where"]), When(**parts["when"]))
    check(rule)
    return rule
