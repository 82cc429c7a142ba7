"""Plans of faults in a cluster that runs: what actions do to it, when, and for how long a plan is armed.

How processes end is the crash table (``test_crash_table``).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from operator import add

import psutil
import pytest

from localcluster import SparkConf, SparkContext, faults
from localcluster.errors import FaultNeverFiredError, FaultPlanError, JobCancelledError, TaskError
from localcluster.events import FaultFired
from localcluster.faults import Rule, kill, raising, slow
from protocol import sites
from tests.support import InThread, in_each_executor, wait_for_executors, wait_until

EXPECTED = [(key, sum(x for x in range(100) if x % 5 == key)) for key in range(5)]


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    conf = SparkConf().set("spark.executor.heartbeatInterval", "1s").set("spark.network.timeout", "30s")
    with SparkContext("local[2, 4]", conf=conf) as context:
        yield context


def counts(sc: SparkContext) -> list[tuple[int, int]]:
    """A job of two stages."""
    return sorted(sc.parallelize(range(100), 8).map(lambda x: (x % 5, x)).reduceByKey(add, 3).collect())


def fired(sc: SparkContext) -> list[FaultFired]:
    return list(sc.events(FaultFired))


def executor(sc: SparkContext) -> str:
    """The id of one that lives."""
    wait_for_executors(sc, 2)
    return min(in_each_executor(sc, own_id))


def own_id() -> str:
    from localcluster.task.env import get_env

    return get_env().executor_id


# --- what happens ----------------------------------------------------------------------------------------------------


def test_an_exception_is_raised_in_the_task_that_is_named(sc: SparkContext) -> None:
    with sc.faults(raising(KeyError, stage="reduceByKey", partition=3).times(2), strict=True):
        assert counts(sc) == EXPECTED
    attempts = [event.where for event in fired(sc)[-2:]]
    assert all("(reduceByKey at " in where and "partition 3" in where for where in attempts)
    assert [where[-1] for where in attempts] == ["0", "1"]


def test_an_exception_in_every_attempt_ends_the_job_by_its_name(sc: SparkContext) -> None:
    rule = raising("queue.Empty", partition=1).at("middle", records=3).times(faults.UNLIMITED)
    with sc.faults(rule), pytest.raises(TaskError, match="a fault on purpose") as raised:
        sc.parallelize(range(20), 2).count()
    assert type(raised.value.cause).__name__ == "Empty"


def test_the_middle_is_after_as_many_records(sc: SparkContext) -> None:
    seen = sc.accumulator(0)

    def see(x: int) -> int:
        seen.add(1)
        return x

    with sc.faults("raise exception=ValueError at=middle records=4 times=*"), pytest.raises(TaskError) as raised:
        sc.parallelize(range(20), 1).map(see).count()
    assert isinstance(raised.value.cause, ValueError)
    assert seen.value == 0  # of failed attempts nothing counts


def test_a_stopped_executor_goes_on_after_its_time(sc: SparkContext) -> None:
    victim = executor(sc)
    pids = set(in_each_executor(sc, os.getpid))
    with sc.faults(faults.stop(0.2, executor=victim), strict=True):
        assert counts(sc) == EXPECTED
    assert set(in_each_executor(sc, os.getpid)) == pids
    assert not [child for pid in pids for child in psutil.Process(pid).children()], "the helper has ended"


def test_a_hung_task_can_be_killed(sc: SparkContext) -> None:
    pids = set(in_each_executor(sc, os.getpid))
    with sc.faults(faults.hang(partition=1).at("start"), strict=True):
        job = InThread(lambda: count_in_group(sc, "hung"))
        wait_until(lambda: any("hang" in event.fault for event in fired(sc)))
        sc.cancelJobGroup("hung")
        assert isinstance(job.outcome(), JobCancelledError)
    assert set(in_each_executor(sc, os.getpid)) == pids


def count_in_group(sc: SparkContext, group: str) -> None:
    sc.setJobGroup(group, "")
    sc.parallelize(range(4), 4).count()


def test_a_slow_task_is_slow_each_time(sc: SparkContext) -> None:
    before = len(fired(sc))
    with sc.faults(slow(0.01, stage="reduceByKey"), strict=True):
        assert counts(sc) == EXPECTED
    assert len(fired(sc)) == before + 8


def test_memory_that_is_taken_is_held_up_to_the_limit_until_the_plan_ends(sc: SparkContext) -> None:
    victim = executor(sc)

    def rss() -> tuple[str, int]:
        return own_id(), psutil.Process().memory_info().rss

    before = dict(in_each_executor(sc, rss))
    with sc.faults(faults.hog(64 << 20, executor=victim), strict=True):
        assert counts(sc) == EXPECTED
        after = dict(in_each_executor(sc, rss))
    assert after[victim] >= before[victim] + (60 << 20)
    wait_until(lambda: dict(in_each_executor(sc, rss))[victim] < before[victim] + (30 << 20))


def test_a_silence_ends_with_its_plan_and_not_before(sc: SparkContext) -> None:
    def is_silent() -> bool:
        return sites.armed is not None and bool(sites.armed("heartbeat"))

    with sc.faults(slow(0.001, partition=99)):  # armed before, during and after
        with sc.faults(faults.silence(), strict=True):
            in_each_executor(sc, own_id)
            assert any(in_each_executor(sc, is_silent))
        wait_until(lambda: not any(in_each_executor(sc, is_silent)))


def test_a_silent_executor_sends_no_heartbeat_and_works_on(sc: SparkContext) -> None:
    victim = executor(sc)
    with sc.faults(faults.silence(0.3, executor=victim), strict=True):
        assert counts(sc) == EXPECTED
        assert counts(sc) == EXPECTED


def test_a_replacement_that_cannot_be_forked_comes_later(sc: SparkContext) -> None:
    victim = executor(sc)
    with sc.faults(kill(executor=victim), faults.fail_fork(), faults.delay_fork(0.05), strict=True):
        assert counts(sc) == EXPECTED
        wait_for_executors(sc, 2)
    assert [event.process for event in fired(sc)[-2:]] == ["launcher", "launcher"]


@pytest.mark.parametrize("at", ["before_report", "registered", "heartbeat"])
def test_an_exception_outside_of_the_users_code_is_its_executors_end(sc: SparkContext, at: str) -> None:
    """In whatever thread: without that thread others would wait for it."""
    victim = executor(sc)
    before = len(fired(sc))
    with sc.faults(kill(executor=victim), raising(RuntimeError).at(at), strict=True):
        assert counts(sc) == EXPECTED
        wait_until(lambda: any("raise" in event.fault for event in fired(sc)[before:]))
    assert counts(sc) == EXPECTED
    wait_for_executors(sc, 2)


def test_an_exception_before_it_registers_is_an_executors_end(sc: SparkContext) -> None:
    victim = executor(sc)
    with sc.faults(kill(executor=victim), raising(MemoryError).at("registration"), strict=True):
        assert counts(sc) == EXPECTED
        wait_for_executors(sc, 2)


# --- when ------------------------------------------------------------------------------------------------------------


def test_after_so_many_tasks_of_an_executor(sc: SparkContext) -> None:
    victim = executor(sc)
    with sc.faults(kill(executor=victim).after_tasks(2), strict=True):
        assert counts(sc) == EXPECTED
        sc.parallelize(range(8), 8).count()
    assert fired(sc)[-1].process == victim
    assert fired(sc)[-1].where.startswith("task.reported, ")


def test_what_fired_in_an_executor_does_not_fire_again_in_its_replacement(sc: SparkContext) -> None:
    wait_for_executors(sc, 2)
    before = len(fired(sc))
    with sc.faults(kill(partition=3).times(2), strict=True):
        assert sc.parallelize(range(8), 8).count() == 8
        wait_for_executors(sc, 2)
        assert sc.parallelize(range(8), 8).count() == 8
    assert len(fired(sc)) == before + 2


def test_a_timer_ends_an_executor_that_does_nothing(sc: SparkContext) -> None:
    victim = executor(sc)
    with sc.faults(kill(executor=victim).after_seconds(0.01), strict=True):
        wait_until(lambda: fired(sc) and fired(sc)[-1].process == victim)
    wait_for_executors(sc, 2)


# --- armed while it runs ---------------------------------------------------------------------------------------------


def test_plans_are_nested_and_end_with_their_blocks(sc: SparkContext) -> None:
    before = len(fired(sc))
    with sc.faults(slow(0.001, partition=0)):
        with sc.faults(slow(0.001, partition=1)):
            sc.parallelize(range(3), 3).count()
        sc.parallelize(range(3), 3).count()
    sc.parallelize(range(3), 3).count()
    assert len(fired(sc)) == before + 3
    assert in_each_executor(sc, lambda: sites.armed is None) == [True, True]


def test_a_fault_that_never_fired_is_warned_of(sc: SparkContext, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), sc.faults(kill(executor=999), slow(0.001)):
        sc.parallelize(range(2), 2).count()
    assert "faults that never fired: kill executor=999" in [record.message for record in caplog.records]


def test_a_fault_that_must_fire_is_an_error_when_it_does_not(sc: SparkContext) -> None:
    with pytest.raises(FaultNeverFiredError, match="kill executor=999"), sc.faults(kill(executor=999), strict=True):
        pass
    with pytest.raises(ZeroDivisionError), sc.faults(kill(executor=999), strict=True):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("kil", "did you mean kill"),
        (raising("json.JSONDecoderError"), "json.JSONDecoderError cannot be found"),
    ],
)
def test_a_plan_without_a_meaning_arms_nothing(sc: SparkContext, rule: str | Rule, says: str) -> None:
    with pytest.raises(FaultPlanError, match=re.escape(says)), sc.faults(rule):
        raise AssertionError("it was armed")
