"""A task whose preferred executor dies, in the order of events that once left it waiting for nobody."""

from __future__ import annotations

from localcluster.scheduler.stage import Stage
from localcluster.scheduler.task_set import TaskSet
from tests.localcluster.scheduler.lineage import Dataset


def test_a_task_whose_home_died_goes_to_a_home_that_joined_later() -> None:
    alive = {"1"}
    stage = Stage(0, "", None, (), [0], b"", Dataset(1, ()))
    tasks = TaskSet(
        key=0,
        stage=stage,
        positions=[0],
        preferred={0: ["1", "2"]},
        alive=alive,
        priority=(0, 0),
        pool="default",
        properties={},
        max_failures=1,
        max_losses=1,
        created=0.0,
    )
    alive.add("2")
    alive.remove("1")
    tasks.home_lost("1")
    tasks.check()
    assert tasks.take("3", now=0.0, wait=3.0) is None, "executor 2 holds its block"
    assert tasks.take("2", now=0.0, wait=3.0) == 0
