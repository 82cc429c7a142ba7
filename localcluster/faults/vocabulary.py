"""The words of a plan: actions, moments and keys, which of them go together, and what a rule means without some.

This is the only list of them: ``grammar`` reads text by it, plans are checked by it, ``docs/fault-injection.md`` is
held against it. How an action is done is in the file of its family (``families``); where a moment is, at the site that
it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from localcluster.faults.rule import UNLIMITED, Rule
from protocol.errors import FaultPlanError

DRIVER, LAUNCHER, EXECUTOR = ROLES = ("driver", "launcher", "executor")

_TASK = frozenset({"executor", "stage", "partition", "attempt"})
_EXECUTOR = frozenset({"executor"})


class Moment(NamedTuple):
    """Where in the code a rule can act."""

    site: str
    roles: tuple[str, ...]  # of the processes that come to it
    facts: frozenset[str]  # the keys of *where* that can choose among its events
    doc: str


MOMENTS = {
    "start": Moment("task.start", (EXECUTOR,), _TASK, "a task begins"),
    "unpickle": Moment("task.unpickle", (EXECUTOR,), _TASK, "a task is about to unpickle its code"),
    "middle": Moment(
        "task.record", (EXECUTOR,), _TASK, "`records` records of the last RDD of a task's stage were taken"
    ),
    "end": Moment("task.end", (EXECUTOR,), _TASK, "a task has computed its result or written its map output"),
    "pickle": Moment("task.pickle", (EXECUTOR,), _TASK, "a task of a result stage is about to pickle its result"),
    "before_report": Moment("task.report", (EXECUTOR,), _TASK, "a task's outcome is about to be sent"),
    "after_report": Moment("task.reported", (EXECUTOR,), _TASK, "a task's outcome was sent"),
    "shuffle_read": Moment("shuffle.read", (EXECUTOR,), _TASK, "a task begins to read a shuffle"),
    "shuffle_write": Moment("shuffle.write", (EXECUTOR,), _TASK, "a task begins to write a shuffle"),
    "block_put": Moment("block.put", (EXECUTOR, DRIVER), _TASK | {"block"}, "a block was put"),
    "block_read": Moment("block.read", (EXECUTOR, DRIVER), _TASK | {"block"}, "a block is read"),
    "registration": Moment("executor.start", (EXECUTOR,), _EXECUTOR, "an executor starts, and has not registered"),
    "registered": Moment("executor.registered", (EXECUTOR,), _EXECUTOR, "an executor has registered"),
    "heartbeat": Moment("heartbeat", (EXECUTOR,), _EXECUTOR, "an executor is about to send a heartbeat"),
    "job": Moment("driver.job", (DRIVER,), frozenset(), "the driver submits a job"),
    "accumulators": Moment("accumulators.merge", (DRIVER,), frozenset(), "the driver merges a task's accumulators"),
    "stop": Moment("driver.stop", (DRIVER,), frozenset(), "the driver begins to stop its context"),
    "fork": Moment("fork", (LAUNCHER,), _EXECUTOR, "the launcher is about to fork an executor (`executor`: that one)"),
    "message": Moment("message", ROLES, frozenset({"executor", "message"}), "a message is sent, to or by `executor`"),
    "call": Moment("call", ROLES, frozenset({"executor", "call"}), "the operating system is called"),
}

ENDS_OF_STAGES = """
    aggregate aggregateByKey coalesce cogroup collect collectAsMap collectWithJobGroup combineByKey count
    countApprox countApproxDistinct countByKey countByValue distinct first fold foldByKey foreach foreachPartition
    fullOuterJoin groupBy groupByKey groupWith histogram intersection isEmpty join leftOuterJoin lookup max mean
    meanApprox min partitionBy reduce reduceByKey reduceByKeyLocally repartition repartitionAndSortWithinPartitions
    rightOuterJoin runJob sampleStdev sampleVariance saveAsPickleFile saveAsTextFile sortBy sortByKey stats stdev
    subtract subtractByKey sum sumApprox take takeOrdered takeSample toLocalIterator top treeAggregate treeReduce
    variance zipWithIndex
""".split()  # noqa: SIM905 - which would be a line for each
"""Methods that shuffle or start a job; what RDDs have beside these (`map`, `zip`) ends no stage."""

ABOUT_OTHERS = ("fork", "message")
"""Moments whose ``executor`` need not be the process that comes to them."""

_ANYWHERE = tuple(name for name in MOMENTS if name not in ("message", "call"))
_IN_EXECUTORS = tuple(name for name in _ANYWHERE if EXECUTOR in MOMENTS[name].roles)


class Action(NamedTuple):
    """What a rule can do."""

    family: str
    moments: tuple[str, ...]  # the first is where it acts unless the rule says otherwise
    doc: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    by_timer: bool = False  # needs no event: with ``after_seconds`` alone it acts when the time has come
    each: bool = False  # without a trigger it acts at every event and not once
    call: str | None = None  # the only call that it is about


ACTIONS = {
    "kill": Action("process", _ANYWHERE, "the process gets SIGKILL", by_timer=True),
    "exit": Action("process", _ANYWHERE, "the process exits with `code` (1), at once", (), ("code",), by_timer=True),
    "segfault": Action("process", _ANYWHERE, "the process reads address 0", by_timer=True),
    "stop": Action(
        "process", _ANYWHERE, "the process gets SIGSTOP; SIGCONT after `seconds` (never)", (), ("seconds",), True
    ),
    "raise": Action("process", _ANYWHERE, "an exception is raised there", ("exception",)),
    "hog": Action(
        "process", _ANYWHERE, "memory is allocated until something gives, or `limit` is held", (), ("limit",), True
    ),
    "slow": Action("process", _ANYWHERE, "it goes on after `seconds`", ("seconds",), each=True),
    "hang": Action(
        "process", _ANYWHERE, "it does not go on; with `gil=yes` no thread of the process does", (), ("gil",)
    ),
    "silence": Action(
        "process", _IN_EXECUTORS, "the executor sends no heartbeat for `seconds` (ever)", (), ("seconds",), True
    ),
    "fail_fork": Action("process", ("fork",), "there is no process for an executor"),
    "delay_fork": Action("process", ("fork",), "the launcher forks `seconds` later", ("seconds",)),
    "drop": Action("message", ("message",), "the message is lost"),
    "delay": Action("message", ("message",), "the message comes `seconds` later", ("seconds",)),
    "duplicate": Action("message", ("message",), "the message comes twice"),
    "reorder": Action("message", ("message",), "the message comes after the next one"),
    "garble": Action("message", ("message",), "bits of the message are flipped"),
    "lose": Action("block", ("block_put", "block_read"), "the block's bytes are removed"),
    "truncate": Action("block", ("block_put", "block_read"), "the block's bytes are cut short"),
    "corrupt": Action("block", ("block_put", "block_read"), "bits of the block are flipped"),
    "fail": Action("call", ("call",), "the call raises OSError with `errno` (EIO)", (), ("errno",)),
    "short": Action("call", ("call",), "the call takes fewer bytes than it was given", call="write"),
    "full": Action(
        "call", ("call",), "shared memory has no room: its reservation raises ENOSPC", each=True, call="reserve"
    ),
}


def unknown(kind: str, name: str, known: Iterable[str]) -> FaultPlanError:
    """The error for a word that nobody knows: it names the closest, and all that there are."""
    from difflib import get_close_matches  # few plans need it

    names = list(known)
    meant = "".join(f"; did you mean {close}?" for close in get_close_matches(name, names, 1))
    return FaultPlanError(f"there is no {kind} {name!r}{meant or '.'} Known: {', '.join(names)}")


def moment_of(rule: Rule) -> str | None:
    """The moment at which the rule acts; None when a timer is all that it waits for."""
    action, (_, where, when) = ACTIONS[rule.what.action], rule
    if when.at is not None:
        return when.at
    if when.after_tasks is not None:
        return "after_report"
    if action.by_timer and when.after_seconds is not None and not _chooses_events(rule):
        return None
    return "block_put" if where.block is not None and "block_put" in action.moments else action.moments[0]


def _chooses_events(rule: Rule) -> bool:
    where, when = rule.where, rule.when
    chosen = where._replace(executor=None, role=None), when._replace(after_seconds=None, times=None)
    return any(value is not None for part in chosen for value in part)


def times_of(rule: Rule) -> int:
    """How often it fires at most; UNLIMITED: without an end."""
    when = rule.when
    if when.times is not None:
        return when.times
    if when.every is not None or when.probability is not None:
        return UNLIMITED
    is_counted = when.nth is not None or when.after_tasks is not None
    return UNLIMITED if ACTIONS[rule.what.action].each and not is_counted else 1


def roles_of(rule: Rule) -> tuple[str, ...]:
    """Of the processes that the rule may act in. Only executors send heartbeats; nor is what has to go on held up for
    good, since nobody would end that.
    """
    what, where, moment = rule.what, rule.where, moment_of(rule)
    roles = (EXECUTOR,) if moment is None else MOMENTS[moment].roles
    if where.role is not None:
        roles = (where.role,)
    elif where.executor is not None and moment not in ABOUT_OTHERS:
        roles = (EXECUTOR,)
    only_executors = what.action in ("hang", "silence") or (what.action == "stop" and what.seconds is None)
    return tuple(role for role in roles if role == EXECUTOR or not only_executors)
