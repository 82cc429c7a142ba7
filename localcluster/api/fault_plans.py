"""Plans of faults that a program or a command line gives: made of what it says, checked before anything starts, armed.

Loaded with the first plan. How plans are carried out is ``localcluster.faults``, how they are told
``driver.armed_plans``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from localcluster.conf.settings import Settings
from localcluster.driver.armed_plans import report_never_fired
from localcluster.driver.cluster import Cluster
from localcluster.faults.builders import plan
from localcluster.faults.exceptions import ON_PURPOSE, make_exception
from localcluster.faults.fault_plan import Plan
from localcluster.faults.grammar import parse, read_toml, text
from localcluster.faults.rule import Rule


def plan_of_options(values: Sequence[str]) -> Plan:
    """What the options of a command line say: rules, or names of files that end in .toml. Raises FaultPlanError."""
    return plan(*(read_toml(value) if value.endswith(".toml") else value for value in values))


def check_settings(conf: Mapping[str, str], *, finds_exceptions: bool) -> None:
    """Raises FaultPlanError when the plan of the settings names what there is not."""
    settings = Settings(conf)
    check_exceptions(Plan(parse(settings.faults or ""), settings.faults_seed).rules, in_modules=finds_exceptions)


def check_exceptions(rules: Iterable[Rule], *, in_modules: bool) -> None:
    """Raises FaultPlanError for one that cannot be made: a builtin, or also of modules, where these can be found."""
    for rule in rules:
        exception = rule.what.exception
        if exception is not None and (in_modules or "." not in exception):
            make_exception(exception, ON_PURPOSE)


class Faults(AbstractContextManager[None]):
    """A plan that is armed inside of a ``with`` block, and nowhere else. Raises FaultPlanError."""

    _is_unused = False  # what was refused has no use

    def __init__(self, cluster: Cluster, plan: Plan, strict: bool) -> None:
        check_exceptions(plan.rules, in_modules=True)
        self._cluster = cluster
        self._plan = plan
        self._strict = strict
        self._armed: list[int] = []  # numbers of plans: the block may be in itself
        self._is_unused = True

    def __enter__(self) -> None:
        self._is_unused = False
        self._cluster.check_usable()
        with self._cluster.lock:
            self._armed.append(self._cluster.faults.arm(text(self._plan.rules), self._plan.seed))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raises FaultNeverFiredError."""
        with self._cluster.lock:
            never_fired = self._cluster.faults.disarm(self._armed.pop())
        if never_fired:
            report_never_fired(never_fired, is_error=self._strict and kind is None)  # an error in the block says more

    def __repr__(self) -> str:
        return f"<faults of a with block: {text(self._plan.rules)}>"

    def __del__(self) -> None:
        if self._is_unused:
            warnings.warn(f"{self!r} armed nothing: write `with sc.faults(...):`", RuntimeWarning, stacklevel=2)
