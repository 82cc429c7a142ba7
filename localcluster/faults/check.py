"""What a rule may say: which keys an action takes, which values a key has, what goes together.

Covers everything that can be known without a run. Not whether a rule will ever fire, nor whether an exception's module
can be imported (`exceptions`), which is known where it is raised.
"""

from __future__ import annotations

from localcluster.faults.keys import KEYS, rule_text
from localcluster.faults.rule import Rule, What, Where
from localcluster.faults.vocabulary import (
    ABOUT_OTHERS,
    ACTIONS,
    EXECUTOR,
    MOMENTS,
    Action,
    moment_of,
    roles_of,
    unknown,
)
from protocol.errors import FaultPlanError

_TRIGGERS = ("nth", "every", "after_tasks", "probability")


def check(rule: Rule) -> None:
    """Raises FaultPlanError when the rule says something that has no meaning for its action."""
    try:
        _check(rule)
    except FaultPlanError as error:
        raise FaultPlanError(f"{rule_text(rule)!r}: {error}") from None


def _check(rule: Rule) -> None:
    what, when = rule.what, rule.when
    action = ACTIONS.get(what.action)
    if action is None:
        raise unknown("action", what.action, ACTIONS)
    for name in action.needs:
        if getattr(what, name) is None:
            raise FaultPlanError(f"{what.action} needs {name}=")
    _refuse(what, {"action", *action.needs, *action.takes}, f"{what.action} takes no")
    _check_values(rule)
    if action.call is not None and rule.where.call not in (None, action.call):
        raise FaultPlanError(f"{what.action} is about the call {action.call}, not {rule.where.call}")
    triggers = [name for name in _TRIGGERS if getattr(when, name) is not None]
    if len(triggers) > 1:
        raise FaultPlanError(f"{what.action} can have one trigger, not {' and '.join(triggers)}")
    _check_moment(rule, action)
    _check_processes(rule)


def _check_moment(rule: Rule, action: Action) -> None:
    what, where, when = rule
    name = moment_of(rule)
    if name is not None and name not in action.moments:
        word = f"at={name}" if when.at is not None else "after_tasks="
        raise FaultPlanError(f"{what.action} has no {word}; it acts at: {', '.join(action.moments)}")
    if (when.records is None) != (name != "middle"):
        raise FaultPlanError("at=middle needs records=, and records= needs at=middle")
    if when.after_tasks is not None and name != "after_report":
        raise FaultPlanError(f"after_tasks= is the moment after a task's report, not at={name}")
    if name is None:
        return
    moment = MOMENTS[name]
    _refuse(where, {"role", *moment.facts}, f"at={name} has no")
    if where.role not in (None, *moment.roles):
        others = [other for other, moment in MOMENTS.items() if where.role in moment.roles]
        raise FaultPlanError(
            f"at={name} is of the {' and '.join(moment.roles)}, not of the {where.role}; say when: after_seconds=, or "
            f"at= one of {', '.join(others)}"
        )


def _check_processes(rule: Rule) -> None:
    what, where, _ = rule
    roles = roles_of(rule)
    if where.executor is not None and where.role not in (None, EXECUTOR) and moment_of(rule) not in ABOUT_OTHERS:
        raise FaultPlanError(f"executor= is not of the {where.role}")
    if not roles and what.action == "silence":
        raise FaultPlanError("silence is of executors: others send no heartbeats")
    if not roles:
        raise FaultPlanError(
            f"{what.action} would hold up driver or launcher for good, and the run would wait for ever: say for "
            "how long, slow seconds= or stop seconds=; or end it, kill"
        )
    if (what.exception or "").startswith("__main__.") and EXECUTOR in roles:
        raise FaultPlanError(
            f"exception={what.exception} is of the program that runs, which executors cannot import: define it in a "
            "module and import it from there"
        )


def _refuse(part: What | Where, known: set[str], why: str) -> None:
    for name, value in part._asdict().items():
        if value is not None and name not in known:
            raise FaultPlanError(f"{why} {name}=; known: {', '.join(sorted(known - {'action'}))}")


def _check_values(rule: Rule) -> None:
    for part in rule:
        for name, value in part._asdict().items():
            if value is not None and name != "action":
                KEYS[name].check(value)
