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
from localcluster.faults.families import require
from localcluster.faults.fault_plan import Plan
from localcluster.faults.grammar import parse, read_toml, rule_text, text
from localcluster.faults.rule import Rule
from localcluster.faults.vocabulary import unknown
from localcluster.rdd.rdd import RDD
from protocol.errors import FaultPlanError


def plan_of_options(values: Sequence[str]) -> Plan:
    """What the options of a command line say: rules, or names of files that end in .toml. Raises FaultPlanError."""
    return plan(*(read_toml(value) if value.endswith(".toml") else value for value in values))


def check_settings(conf: Mapping[str, str], *, finds_exceptions: bool) -> None:
    """Raises FaultPlanError when the plan of the settings names what there is not."""
    settings = Settings(conf)
    check(Plan(parse(settings.faults or ""), settings.faults_seed).rules, finds_exceptions=finds_exceptions)


_END_NO_STAGE = {
    "barrier",
    "cache",
    "cartesian",
    "checkpoint",
    "cleanShuffleDependencies",
    "compute",
    "context",
    "filter",
    "flatMap",
    "flatMapValues",
    "getCheckpointFile",
    "getNumPartitions",
    "getResourceProfile",
    "getStorageLevel",
    "glom",
    "id",
    "isCheckpointed",
    "isLocallyCheckpointed",
    "iterator",
    "keyBy",
    "keys",
    "kind",
    "localCheckpoint",
    "map",
    "mapPartitions",
    "mapPartitionsWithIndex",
    "mapPartitionsWithSplit",
    "mapValues",
    "name",
    "persist",
    "pipe",
    "preferred_locations",
    "sample",
    "setName",
    "starts_barrier",
    "toDebugString",
    "union",
    "unpersist",
    "values",
    "withResources",
    "zipWithUniqueId",
}
"""What RDDs have that neither shuffles nor starts a job."""


def check(rules: Iterable[Rule], *, finds_exceptions: bool) -> None:
    """Raises FaultPlanError for an action that nobody does, a method that ends no stage, and, where exceptions can be
    found already, one that cannot be.
    """
    require(rules)
    methods = {name for name in dir(RDD) if not name.startswith("_")} | {"runJob"}
    for rule in rules:
        stage, exception = rule.where.stage, rule.what.exception
        if isinstance(stage, str) and stage not in methods - _END_NO_STAGE:
            error = unknown("stage that ends in", stage, sorted(methods - _END_NO_STAGE))
            raise FaultPlanError(f"{rule_text(rule)!r}: {error}")
        if exception is not None and (finds_exceptions or "." not in exception):
            make_exception(exception, ON_PURPOSE)


class Faults(AbstractContextManager[None]):
    """A plan that is armed inside of a ``with`` block, and nowhere else. Raises FaultPlanError."""

    _is_unused = False  # what was refused has no use

    def __init__(self, cluster: Cluster, plan: Plan, strict: bool) -> None:
        check(plan.rules, finds_exceptions=True)
        self._cluster = cluster
        self._plan = plan
        self._strict = strict
        self._is_unused = True

    def __enter__(self) -> None:
        self._is_unused = False
        self._cluster.check_usable()
        with self._cluster.lock:
            self._number = self._cluster.faults.arm(text(self._plan.rules), self._plan.seed)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raises FaultNeverFiredError."""
        with self._cluster.lock:
            never_fired = self._cluster.faults.disarm(self._number)
        if never_fired:
            report_never_fired(never_fired, is_error=self._strict and kind is None)  # an error in the block says more

    def __repr__(self) -> str:
        return f"<faults of a with block: {text(self._plan.rules)}>"

    def __del__(self) -> None:
        if self._is_unused:
            warnings.warn(f"{self!r} armed nothing: write `with sc.faults(...):`", RuntimeWarning, stacklevel=2)
