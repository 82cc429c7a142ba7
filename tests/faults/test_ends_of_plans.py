"""The ``with`` block of faults: what it held up goes on at its end, and without one nothing is armed."""

from __future__ import annotations

import warnings
from operator import add

import pytest

from localcluster import SparkConf, SparkContext, faults
from localcluster.errors import FaultPlanError
from localcluster.events import ExecutorLost, FaultFired
from localcluster.faults import Rule, kill, slow
from localcluster.faults.keys import rule_text
from tests.support import InThread, wait_until


def sums(sc: SparkContext) -> list[tuple[int, int]]:
    """A job of two stages."""
    return sorted(sc.parallelize([(0, 1), (1, 2), (0, 3)], 3).reduceByKey(add, 2).collect())


@pytest.mark.parametrize(
    "rule",
    [
        faults.hang(),
        faults.hang(gil=True),
        faults.hang().at("before_report"),
        faults.hang().at("after_report"),
        faults.hang().at("registered"),
        slow(3600),
        faults.stop(3600),
        faults.delay(3600, message="TasksFinished"),
        faults.delay_fork(3600),
    ],
    ids=rule_text,
)
def test_what_is_held_up_goes_on_when_the_block_ends(rule: Rule) -> None:
    """Also in processes that cannot be told: of those that stop, hang or wait in C."""
    conf = SparkConf().set("spark.executor.heartbeatInterval", "100s").set("spark.network.timeout", "300s")
    with SparkContext("local[1, 4]", conf=conf) as sc:  # with heartbeats so rare that nobody else ends it
        sc.parallelize([1], 1).count()
        more = [kill()] if rule.what.action == "delay_fork" or rule.when.at == "registered" else []
        with sc.faults(*more, rule):
            job = InThread(lambda: sums(sc))
            wait_until(lambda: len(sc.events(FaultFired)) == 1 + len(more))
        assert job.outcome() == [(0, 4), (1, 2)]
        assert len(sc.events(ExecutorLost)) == len(more)


def test_without_a_block_nothing_is_armed_and_that_is_said() -> None:
    with SparkContext("local[1]") as sc:
        unused = sc.faults(kill())
        assert repr(unused) == "<faults of a with block: kill>"
        with pytest.warns(RuntimeWarning, match=r"block: kill> armed nothing: write `with sc\.faults"):
            del unused
        assert sums(sc) == [(0, 4), (1, 2)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            block = sc.faults(slow(0))
            with block, block:
                sums(sc)
            sums(sc)
            with pytest.raises(FaultPlanError):
                sc.faults("kill stage=nothing")
        assert [event.fault for event in sc.events(FaultFired)] == ["slow seconds=0.0"] * 10
