"""The stages that active jobs need: each runs, waits for the map outputs of a parent, or is done.

Covers their order, and that jobs share map stages: a stage starts when all that it reads is there, and what is missing
is computed first. Does not know what became of tasks, or when a stage has failed too often (``dag_scheduler``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from localcluster.scheduler.instruction import Instruction, Kill
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.map_stages import MapStages
from localcluster.scheduler.stage import Job, Stage
from localcluster.scheduler.stage_attempts import StageAttempts
from localcluster.scheduler.statistics import StageStatistics
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.scheduler.task_set import TaskSet
from localcluster.scheduler.waiting_stages import WaitingStages
from protocol.events import Recorder, nobody

OUTPUTS_LOST = "outputs of it are lost"


class Stages:
    """``running`` has the current attempt of each stage that runs. Both attributes are for looking only."""

    def __init__(
        self,
        tasks: TaskScheduler,
        outputs: MapOutputTracker,
        history: JobHistory,
        limits: Limits,
        record: Recorder = nobody,
    ) -> None:
        self._outputs = outputs
        self._history = history
        self.map_stages = MapStages(outputs)
        self._attempts = StageAttempts(tasks, history, limits, record)
        self._waiting = WaitingStages()
        self.running: Mapping[Stage, TaskSet] = self._attempts.current

    def is_current(self, task_set: TaskSet) -> bool:
        """Whether it is the current attempt of its stage."""
        return self.running.get(task_set.stage) is task_set

    # --- jobs ---

    def add(self, job: Job) -> list[Stage]:
        """A job needs its stages from now on. Returns them; map stages may be those of earlier jobs."""
        job.final_stage.jobs.add(job)
        return [*self.map_stages.add(job), job.final_stage]

    def leave(self, job: Job, reason: str) -> list[Instruction]:
        """A job does not need its stages any more; the last one to leave ends a stage."""
        needed = [job.final_stage, *(self.map_stages[shuffle_id] for shuffle_id in job.map_stages)]
        instructions: list[Instruction] = []
        for stage in needed:
            stage.jobs.discard(job)
            if not stage.jobs:
                self._waiting.discard(stage)
                instructions += self._attempts.kill(stage, reason)
                self.map_stages.remove(stage)
                self._history.stage_left(stage)
        return instructions

    # --- order ---

    def submit(self, stage: Stage, now: float) -> None:
        """Start a stage, or what it misses. A stack in place of recursion: there may be thousands of ancestors."""
        todo = [stage]
        while todo:
            stage = todo.pop()
            if self._is_under_way(stage):
                continue
            missing = self.map_stages.missing_parents(stage)
            if not missing:
                self._attempts.start(stage, self.map_stages.open_positions(stage), now)
                continue
            # When the first one is there, the stage is submitted again, and waits for the next one or starts.
            self._waiting.add(stage, missing[0])
            parents = [self.map_stages[shuffle] for shuffle in reversed(missing)]
            if stage.setback:  # then they were there, if for an earlier job
                for parent in parents:
                    parent.setback = parent.setback or OUTPUTS_LOST
            todo.extend(parents)

    def go_on(self, stage: Stage, now: float) -> list[Instruction]:
        """All positions of the current attempt are done, or one of a stage that has none."""
        if stage.shuffle_id is None:
            return []  # its job ends once the results are delivered
        if stage in self.running:
            retired = self._attempts.retire(stage)
            if self.map_stages.is_complete(stage):
                return retired + self._complete(stage, stage.shuffle_id, now)
            stage.setback = OUTPUTS_LOST  # while the others were computed
            self.submit(stage, now)
            return retired
        if stage in self._waiting and self.map_stages.is_complete(stage):
            self._waiting.discard(stage)  # tasks of retired attempts did all that was left
            return self._complete(stage, stage.shuffle_id, now)
        return []

    def _complete(self, stage: Stage, shuffle_id: int, now: float) -> list[Instruction]:
        stage.fetch_failures = 0
        stage.barrier_failures = 0
        kills = self._attempts.kill(stage, "another attempt was faster")
        for waiter in self._waiting.release(shuffle_id):
            self.submit(waiter, now)
        return kills

    def resume(self, stage: Stage, reason: str, now: float) -> list[Instruction]:
        """Compute again what a stage misses, then the rest of it. Its tasks that run may finish."""
        stage.setback = reason
        retired = self._attempts.retire(stage)
        self.submit(stage, now)
        return retired

    def kill_copies(self, task_set: TaskSet, position: int) -> list[Kill]:
        """A position is done: end the other task that computes it, if there is one."""
        return self._attempts.kill_copies(task_set, position)

    def restart(self, stage: Stage, reason: str, now: float) -> list[Instruction]:
        """Stop the tasks of a stage, and run it again."""
        stage.setback = reason
        kills = self._attempts.kill(stage, reason)
        self.submit(stage, now)
        return kills

    def _is_under_way(self, stage: Stage) -> bool:
        return stage in self.running or stage in self._waiting

    # --- audit ---

    def statistics(self) -> StageStatistics:
        ended = self._history.stages_ended
        return StageStatistics(
            running=len(self.running),
            waiting=len(self._waiting),
            map_stages=len(self.map_stages.all()),
            retired=sum(map(len, self._attempts.retired.values())),
            completed=ended["COMPLETE"],
            failed=ended["FAILED"],
            skipped=ended["SKIPPED"],
        )

    def check(self, jobs: Collection[Job]) -> None:
        """Audit the invariants, given the active jobs. Raises AssertionError."""
        self._attempts.check()
        self._waiting.check()
        live = {*self.map_stages.all(), *(job.final_stage for job in jobs)}
        for stage in live:
            assert stage.jobs, f"{stage} serves no job"
            assert stage.jobs <= set(jobs), f"{stage} serves a job that ended"
        waiting = dict(self._waiting.items())
        assert live >= {*self.running, *self._attempts.retired, *waiting}, "a stage outlived its jobs"
        assert waiting.keys().isdisjoint(self.running), "a stage runs and waits"
        for job in jobs:
            assert self._is_under_way(job.final_stage), f"job {job.id} waits for nothing"
        for stage, shuffle_id in waiting.items():
            assert not self._outputs.is_complete(shuffle_id), f"{stage} waits for what is there"
            assert self._is_under_way(self.map_stages[shuffle_id]), f"{stage} waits for what nobody computes"
