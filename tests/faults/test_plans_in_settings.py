"""Plans of faults in the settings of a context: carried out from its start on, and looked at when it stops."""

from __future__ import annotations

import logging
import os

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.errors import FaultNeverFiredError, FaultPlanError
from localcluster.events import FaultFired
from protocol import sites
from tests.support import wait_for_executors, wait_until


def with_plan(rules: str, **settings: str) -> SparkConf:
    conf = SparkConf().setMaster("local[2, 4]").set("localcluster.faults", rules)
    return conf.setAll([(f"localcluster.faults.{name}", value) for name, value in settings.items()])


def test_a_plan_in_the_settings_is_carried_out_and_replacements_have_it() -> None:
    with SparkContext(conf=with_plan("kill executor=0; kill executor=2; fail_fork executor=3")) as sc:
        for _ in range(3):
            assert sc.parallelize(range(100), 8).count() == 100
            wait_for_executors(sc, 2)
        wait_until(lambda: len(sc.events(FaultFired)) == 3)
        assert [event.process for event in sc.events(FaultFired)] == ["0", "2", "launcher"]


def test_chance_falls_as_the_seed_says() -> None:
    def partitions(seed: str) -> set[str]:
        with SparkContext(conf=with_plan("slow seconds=0.001 probability=0.5", seed=seed)) as sc:
            sc.parallelize(range(64), 64).count()
            wait_until(lambda: sc.events(FaultFired))
        return {event.where for event in sc.events(FaultFired)}

    assert partitions("7") == partitions("7")
    assert partitions("7") != partitions("8")


def test_the_settings_say_whether_a_fault_must_fire(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), SparkContext(conf=with_plan("kill executor=9")):
        pass
    assert "faults that never fired: kill executor=9" in [record.message for record in caplog.records]
    with (
        pytest.raises(FaultNeverFiredError, match="kill executor=9"),
        SparkContext(conf=with_plan("kill executor=9", strict="true")),
    ):
        pass
    with pytest.raises(ZeroDivisionError), SparkContext(conf=with_plan("kill executor=9", strict="true")):
        raise ZeroDivisionError


def test_a_bad_plan_in_the_settings_starts_nothing() -> None:
    with pytest.raises(FaultPlanError, match="did you mean kill"):
        SparkContext(conf=with_plan("kil executor=9"))
    assert SparkContext._active_spark_context is None


def test_a_task_of_an_armed_run_knows_no_fault_in_its_forks() -> None:
    def in_fork(_: int) -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if sites.armed is None else 1)
        return os.waitpid(pid, 0)[1]

    with SparkContext(conf=with_plan("slow seconds=0.001")) as sc:
        assert sc.parallelize(range(2), 2).map(in_fork).collect() == [0, 0]
        assert TaskContext.get() is None
