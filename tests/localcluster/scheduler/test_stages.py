"""The order of stages, without tasks that end: which run, which wait, and what starts when outputs are there."""

from __future__ import annotations

import pytest

from localcluster.scheduler.instruction import Kill
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.stage import Job, Stage
from localcluster.scheduler.stages import Stages
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.shuffle.map_status import MapStatus
from tests.localcluster.scheduler.lineage import Dataset, Lineage


class Bench:
    def __init__(self) -> None:
        self.tasks, self.outputs, self.history = TaskScheduler(), MapOutputTracker(), JobHistory()
        self.stages = Stages(self.tasks, self.outputs, self.history, Limits())
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.history.job_started(job, self.stages.add(job))
        self.stages.submit(job.final_stage, 0.0)
        self.stages.check(self.jobs)

    def leave(self, job: Job) -> list[object]:
        self.jobs.remove(job)
        instructions = self.stages.leave(job, "it ended")
        self.stages.check(self.jobs)
        return [*instructions]

    def write(self, stage: Stage) -> None:
        """All outputs of a map stage are there, by tasks of attempts before the current one."""
        assert stage.shuffle_id is not None
        for index in stage.partitions:
            self.outputs.register_output(stage.shuffle_id, index, MapStatus("a", 0, ()))
            self.stages.running[stage].completed(index)
        self.stages.go_on(stage, 0.0)
        self.stages.check(self.jobs)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def two_shuffles(lineage: Lineage) -> Dataset:
    return lineage.shuffled(lineage.shuffled(lineage.source(2)), partitions=3)


def test_parents_run_before_their_children(bench: Bench, lineage: Lineage) -> None:
    job = lineage.job(two_shuffles(lineage))
    upper, lower = job.map_stages.values()
    bench.submit(job)
    for stage in (upper, lower, job.final_stage):
        assert list(bench.stages.running) == [stage]
        if stage.shuffle_id is not None:
            bench.write(stage)


def test_outputs_that_are_there_are_not_computed_again(bench: Bench, lineage: Lineage) -> None:
    shared = two_shuffles(lineage)
    first, second = lineage.job(shared), lineage.job(shared)
    bench.submit(first)
    for stage in first.map_stages.values():
        bench.write(stage)
    bench.submit(second)
    assert list(bench.stages.running) == [first.final_stage, second.final_stage]


def test_jobs_share_the_map_stages_of_the_one_that_came_first(bench: Bench, lineage: Lineage) -> None:
    shared = two_shuffles(lineage)
    first, second = lineage.job(shared), lineage.job(shared)
    bench.submit(first)
    bench.submit(second)
    upper, lower = first.map_stages.values()
    assert list(bench.stages.running) == [upper]
    assert [bench.stages.map_stages.latest(stage) for stage in second.map_stages.values()] == [upper, lower]
    bench.leave(first)
    assert list(bench.stages.running) == [upper], "the second job needs it"
    bench.leave(second)
    assert list(bench.stages.running) == []
    assert bench.stages.statistics().map_stages == 0


def test_a_stage_that_lost_an_input_waits_for_it_while_its_tasks_may_finish(bench: Bench, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    (map_stage,) = job.map_stages.values()
    bench.tasks.add_executor("a", 1, 0.0)
    bench.submit(job)
    bench.write(map_stage)
    bench.tasks.assign(0.0)
    assert map_stage.shuffle_id is not None
    bench.outputs.lose_output(map_stage.shuffle_id, 1)
    assert not any(isinstance(each, Kill) for each in bench.stages.resume(job.final_stage, "lost", 0.0))
    assert {stage: list(tasks.running) for stage, tasks in bench.stages.running.items()} == {map_stage: []}
    assert bench.stages.running[map_stage].pending == 1
    assert (bench.stages.statistics().waiting, bench.stages.statistics().retired) == (1, 1)


def test_a_stage_that_starts_anew_stops_its_tasks(bench: Bench, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    bench.tasks.add_executor("a", 1, 0.0)
    bench.submit(job)
    (launch,) = bench.tasks.assign(0.0)
    before = bench.stages.running[job.final_stage]
    instructions = bench.stages.restart(job.final_stage, "for a test", 0.0)
    assert Kill("a", launch.tasks[0].task_id, "for a test") in instructions
    assert not bench.stages.is_current(before)
    assert bench.stages.running[job.final_stage].pending == 2
