"""The crash table (``test_crash_table``) where no task is: executors that register, and the driver."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, faults
from localcluster.errors import ClusterError
from localcluster.events import ExecutorLost, ExecutorReplaced, FaultFired, TaskRetried
from localcluster.faults import Rule
from localcluster.faults.keys import rule_text
from tests.faults.runs import Run
from tests.support import executors, wait_for_executors, wait_until


def conf() -> SparkConf:
    conf = SparkConf().setMaster("local-cluster[2,1,1024]").set("spark.task.maxFailures", "2")
    return conf.set("spark.executor.heartbeatInterval", "100ms")


@pytest.fixture
def sc() -> Iterator[SparkContext]:
    with SparkContext(conf=conf()) as context:
        yield context


# --- registration ----------------------------------------------------------------------------------------------------

WAYS = {
    "raise": (faults.raising(ValueError), r"exited with code 1: ValueError: a fault on purpose \(raise .*\)"),
    "exit": (faults.exiting(7), "exited with code 7, by the fault 'exit .*'"),
    "segfault": (faults.segfault(), r"was killed by signal 11, by the fault 'segfault .*' in\n(.*\n)*.* in string_at"),
    "kill": (faults.kill(), "was killed by signal 9, by the fault 'kill .*'"),
    "stop": (faults.stop(), "was ended: it did not get ready and its process is stopped"),
}
ALL_WAYS = pytest.mark.parametrize(("rule", "text"), WAYS.values(), ids=WAYS)


@ALL_WAYS
def test_an_executor_that_ends_once_before_it_has_registered(sc: SparkContext, rule: Rule, text: str) -> None:
    """A replacement. Nothing was lost with it, and another one comes."""
    wait_for_executors(sc, 2)
    before = len(sc.events())
    first = executors(sc)[0]

    def of(kind: type) -> list[Any]:
        return [event for event in sc.events()[before:] if isinstance(event, kind)]

    with sc.faults(rule.at("registration"), strict=True):
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: len(of(ExecutorLost)) == 2, "the loss is not told", lambda: of(ExecutorLost))
        wait_for_executors(sc, 2)
    killed, lost = of(ExecutorLost)
    assert killed.executor_id == first.executor_id
    assert re.search(rf"^executor {lost.executor_id} \(pid \d+\) {text}$", lost.reason)
    assert lost.running == ()
    assert [event.executor_id for event in of(ExecutorReplaced)] == [killed.executor_id, lost.executor_id]
    assert [event.process for event in of(FaultFired)] == [lost.executor_id]
    assert of(TaskRetried) == []
    assert sc.parallelize(range(8), 8).sum() == 28


@ALL_WAYS
def test_executors_that_all_end_before_they_have_registered(rule: Rule, text: str) -> None:
    plan = rule_text(rule.at("registration").times(faults.UNLIMITED))
    told = rf"5 executors in a row died before they were ready; the last: executor \d+ \(pid \d+\) {text}"
    with pytest.raises(ClusterError) as raised, SparkContext(conf=conf().set("localcluster.faults", plan)) as sc:
        sc.parallelize(range(8), 8).sum()
    assert re.search(told, str(raised.value)), str(raised.value)


# --- the driver ------------------------------------------------------------------------------------------------------

MERGES = """
import os
from localcluster import SparkContext
with SparkContext("local[2]") as sc:
    seen = sc.accumulator(0)
    print("pids", os.getpid(), os.getpid())
    print("ready", flush=True)
    with sc.faults("{rule} at=accumulators", strict=True):
        sc.parallelize(range(4), 2).foreach(seen.add)
    print("seen", seen.value)
"""

ENDS = {
    "raise exception=ValueError": 1,
    "exit code=7": 7,
    "segfault": -signal.SIGSEGV,
    "kill": -signal.SIGKILL,
}


@pytest.mark.parametrize("library", [False, True], ids=["run", "library"])
@pytest.mark.parametrize("rule", ENDS)
def test_a_driver_that_ends_as_it_merges_accumulators(tmp_path: Path, rule: str, library: bool) -> None:
    """Its end is the run's, and nothing is left. `run` tells of a signal as shells do."""
    with Run(tmp_path, MERGES.format(rule=rule), library=library) as run:
        run.until_ready()
        code = run.wait()
        assert code == (ENDS[rule] if library or ENDS[rule] >= 0 else 128 - ENDS[rule]), run.errors
        assert "seen" not in run.output
        if rule.startswith("raise"):
            assert run.errors.endswith(f"ValueError: a fault on purpose ({rule} at=accumulators)\n")
        run.assert_nothing_left()


@pytest.mark.parametrize("library", [False, True], ids=["run", "library"])
def test_a_driver_that_is_stopped_as_it_merges_accumulators_goes_on(tmp_path: Path, library: bool) -> None:
    """As with Ctrl-Z and ``fg``: its executors wait for it, and nothing is counted twice."""
    with Run(tmp_path, MERGES.format(rule="stop seconds=1"), library=library) as run:
        run.until_ready()
        assert run.wait() == 0, run.errors
        assert run.output.endswith("seen 6\n")
        run.assert_nothing_left()
