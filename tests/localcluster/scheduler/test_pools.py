"""The order of task sets: FIFO, FAIR between pools with weights and shares, and within a pool."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.scheduler.pools import FairOrder, Pool, fifo
from localcluster.scheduler.stage import Job
from tests.localcluster.scheduler.harness import FakeDriver
from tests.localcluster.scheduler.lineage import Lineage

ENDLESS = 400  # tasks: more than any of these tests runs


def task_set(pool: str, running: int = 0, job: int = 0) -> Any:
    return SimpleNamespace(pool=pool, running=range(running), priority=(job, 0))


def order(pools: Sequence[Pool], *task_sets: Any) -> list[str]:
    return [chosen.pool for chosen in FairOrder({pool.name: pool for pool in pools})(task_sets)]


def running_share(pools: Sequence[Pool], cores: int, steps: int = 200) -> dict[str, int]:
    """How many tasks of each pool run, once many have been replaced, of pools with no end of tasks."""
    driver, lineage = FakeDriver({"a": cores}, fair=True, pools=pools), Lineage()
    jobs = {pool.name: lineage.job(lineage.source(ENDLESS), pool=pool.name) for pool in pools}
    driver.submit(*jobs.values())
    chance = random.Random(0)
    for _ in range(steps):
        driver.finish(chance.choice(driver.running()))
    return {name: len(driver.running(job)) for name, job in jobs.items()}


def test_fifo_is_the_order_of_jobs_then_of_their_stages() -> None:
    sets = [task_set("b", job=2), task_set("a", job=1), task_set("c", running=5, job=0)]
    assert [chosen.pool for chosen in fifo(sets)] == ["c", "a", "b"]


def test_the_pool_that_runs_least_for_its_weight_comes_first() -> None:
    pools = [Pool("heavy", weight=4), Pool("light")]
    assert order(pools, task_set("light", 1), task_set("heavy", 3)) == ["heavy", "light"]
    assert order(pools, task_set("light", 1), task_set("heavy", 5)) == ["light", "heavy"]


def test_a_pool_below_its_minimum_share_comes_before_all_that_are_not() -> None:
    pools = [Pool("sure", min_share=3), Pool("heavy", weight=100)]
    assert order(pools, task_set("heavy", 0), task_set("sure", 2)) == ["sure", "heavy"]
    assert order(pools, task_set("heavy", 0), task_set("sure", 3)) == ["heavy", "sure"]


def test_of_pools_below_their_share_the_one_that_lacks_most_comes_first() -> None:
    pools = [Pool("a", min_share=4), Pool("b", min_share=2)]
    assert order(pools, task_set("a", 2), task_set("b", 0)) == ["b", "a"]
    assert order(pools, task_set("a", 1), task_set("b", 1)) == ["a", "b"]


def test_equal_pools_come_by_name_and_all_jobs_of_a_pool_count() -> None:
    assert order([], task_set("b"), task_set("a")) == ["a", "b"]
    assert order([], task_set("a", 1), task_set("a", 1, job=1), task_set("b", 1)) == ["b", "a", "a"]


def test_within_a_pool_it_is_fifo_unless_the_pool_is_fair() -> None:
    old, new = task_set("p", 2, job=1), task_set("p", 1, job=2)
    assert FairOrder({})([new, old]) == [old, new]
    assert FairOrder({"p": Pool("p", fair=True)})([old, new]) == [new, old]


@pytest.mark.parametrize(
    ("pools", "cores", "expected"),
    [
        ([Pool("a"), Pool("b")], 8, {"a": 4, "b": 4}),
        ([Pool("a", weight=3), Pool("b")], 8, {"a": 6, "b": 2}),
        ([Pool("a", weight=1000), Pool("b", min_share=2)], 8, {"a": 6, "b": 2}),
        ([Pool("a", min_share=6), Pool("b", min_share=2)], 4, {"a": 3, "b": 1}),
    ],
)
def test_cores_are_shared_as_pools_say(pools: list[Pool], cores: int, expected: dict[str, int]) -> None:
    shares = running_share(pools, cores)
    assert sum(shares.values()) == cores
    assert all(abs(shares[name] - wanted) <= 1 for name, wanted in expected.items()), shares


def test_a_fair_pool_shares_its_cores_between_its_jobs(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 4}, fair=True, pools=[Pool("p", fair=True)])
    jobs: list[Job] = [lineage.job(lineage.source(50), pool="p") for _ in range(2)]
    driver.submit(jobs[0])
    driver.submit(jobs[1])
    for _ in range(2):
        driver.finish(driver.running(jobs[0])[0])
    assert [len(driver.running(job)) for job in jobs] == [2, 2]
    assert driver.finish_all() == 100 - 2


def test_a_cancelled_job_that_had_no_core_yet_leaves_the_others_alone(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2}, fair=True)
    first, queued = (lineage.job(lineage.source(4), pool=pool) for pool in "ab")
    driver.submit(first)
    driver.submit(queued)
    assert driver.running(queued) == []
    driver.cancel(queued)
    assert driver.killed == []
    assert driver.finish_all() == 4
    driver.assert_idle()
