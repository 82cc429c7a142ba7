"""A driver around the scheduler's state machines that has no processes.

It keeps what executors would: tasks in launch order, which of them it was told to kill or to give back. Tests make
events happen one by one; every step ends in the audit of all invariants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localcluster.driver.event_history import EventHistory
from localcluster.scheduler.barrier_attempt import BarrierAnswer
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.exclusions import EndExecutor
from localcluster.scheduler.instruction import Discard, DropStage, Instruction, Kill, OutputReady, Recall
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.pools import FairOrder, Pool, fifo
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.stage import Job, JobEnd, Missing, Stage
from localcluster.scheduler.task_assignment import Launch
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure
from protocol.cluster_messages import TaskDescription, TaskFailed, TaskResult
from protocol.errors import TaskError
from protocol.locations import FileLocation
from protocol.task_output import Inline, MapOutput
from storage.block_id import BlockId
from tests.localcluster.scheduler.lineage import Events


class FakeDriver:
    """Carries out what the scheduler says, in dicts."""

    def __init__(
        self,
        executors: int | Mapping[str, int] = 2,
        *,
        fair: bool = False,
        pools: Sequence[Pool] = (),
        locality_wait: float = 3.0,
        max_failures: int = 4,
        max_stage_attempts: int = 4,
        barrier_timeout: float = 60.0,
        max_result_size: int = 0,
        speculation: Speculation | None = None,
        exclude_on_failure: ExcludeOnFailure | None = None,
        barrier_checks: tuple[float, int] = (15.0, 40),  # seconds between two, how many may fail
    ) -> None:
        self.now = 0.0  # seconds
        self.stored: set[BlockId] = set()
        self.computed: dict[int, Sequence[BlockId]] = {}  # {task id: blocks missing since it was launched}
        self.queues: dict[str, dict[int, tuple[Stage, TaskDescription]]] = {}  # {executor id: {task id: task}}
        self.launches: list[Launch] = []
        self.tables: dict[int, dict[int, list[int | None]]] = {}  # {task id: {shuffle it reads: map ids at its launch}}
        self.killed: list[int] = []
        self.ended: list[str] = []  # executors that it was told to end
        self.recalled: list[int] = []
        self.discarded: list[Discard] = []
        self.ready: list[OutputReady] = []
        self.answers: list[BarrierAnswer] = []
        self.reported: set[int] = set()  # of the report under way: answers that follow from one task may cross another
        self.binaries: set[tuple[str, int]] = set()  # {(executor id, stage key)}
        order = FairOrder({pool.name: pool for pool in pools}) if fair else fifo
        self.history = EventHistory()
        record = self.history.record
        self.tasks = TaskScheduler(
            order=order,
            locality_wait=locality_wait,
            speculation=speculation,
            exclude_on_failure=exclude_on_failure,
            record=record,
        )
        self.outputs = MapOutputTracker(record)
        self.dag = DAGScheduler(
            self.tasks,
            self.outputs,
            describe_failure=_describe,
            limits=Limits(
                max_failures, max_failures, max_stage_attempts, barrier_timeout, max_result_size, *barrier_checks
            ),
            record=record,
        )
        for executor_id, cores in _named(executors).items():
            self.add(executor_id, cores)

    def missing_of(self, kept: Mapping[int, Sequence[BlockId]]) -> Missing:
        """Of what the tasks keep, by position, what is not stored at any moment."""
        return lambda position: [block_id for block_id in kept.get(position, ()) if block_id not in self.stored]

    # --- events ---

    def store(self, block_id: BlockId) -> bool:
        """An executor reports a block. Whether the scheduler has something to do then."""
        self.stored.add(block_id)
        self.computed = {task_id: [b for b in of if b != block_id] for task_id, of in self.computed.items()}
        wanted = self.dag.block_stored(block_id)
        self.step()
        return wanted

    def add(self, executor_id: str, cores: int = 1) -> None:
        self.queues[executor_id] = {}
        self.dag.executor_added(executor_id, cores, self.now)
        self.step()

    def lose(self, executor_id: str, reason: str = "killed") -> None:
        del self.queues[executor_id]
        self.binaries = {held for held in self.binaries if held[0] != executor_id}
        self.dag.executor_lost(executor_id, reason, self.now)
        self.step()

    def drain(self, executor_id: str) -> list[int]:
        """The tasks that it is told to give back."""
        before = len(self.recalled)
        self.dag.drain_executor(executor_id)
        self.step()
        return self.recalled[before:]

    def submit(self, *jobs: Job) -> None:
        for job in jobs:
            self.dag.submit(job, self.now)
        self.step()

    def cancel(self, job: Job) -> None:
        self.dag.cancel(job.id, "for a test")
        self.step()

    def finish(self, *task_ids: int, run_time: float = 1.0) -> None:
        """Successes in one report; all of one executor."""
        executor_id = self.where(task_ids[0])
        results = [self.result(executor_id, task_id, run_time) for task_id in task_ids]
        for task_id in task_ids:
            del self.queues[executor_id][task_id]
        self.reported = set(task_ids)
        self.dag.tasks_finished(executor_id, results, self.now)
        self.step()
        self.reported = set()

    def result(self, executor_id: str, task_id: int, run_time: float = 1.0) -> TaskResult:
        stage, _ = self.queues[executor_id][task_id]
        blocks = (FileLocation(f"/{task_id}", 0, 1),)
        output = Inline(b"result") if stage.shuffle_id is None else MapOutput(blocks)
        return TaskResult(task_id, output, b"updates", run_time)

    def fail(
        self,
        task_id: int,
        kind: str = "exception",
        fetch: tuple[int, tuple[int, ...]] | None = None,
        pickled: bytes | None = None,
        text: str = "it failed",
    ) -> None:
        """``fetch``: a shuffle and the map indices whose outputs it missed, as they were when it was launched."""
        executor_id = self.where(task_id)
        del self.queues[executor_id][task_id]
        missed = None
        if fetch is not None:
            there = self.tables[task_id].get(fetch[0], ())
            missed = fetch[0], {index: there[index] if index < len(there) else None for index in fetch[1]}
        self.dag.task_failed(executor_id, TaskFailed(task_id, pickled, kind, text, missed), self.now)
        self.step()

    def give_back(self, *task_ids: int) -> None:
        executor_id = self.where(task_ids[0])
        for task_id in task_ids:
            del self.queues[executor_id][task_id]
        self.dag.task_given_back(executor_id, task_ids, self.now)
        self.step()

    def recall(self, patience: float = 0.05) -> list[int]:
        before = len(self.recalled)
        self.dag.recall(self.now, patience)
        self.step()
        return self.recalled[before:]

    def speculate(self, seconds: float = 0.0) -> None:
        """After some time, look for stragglers."""
        self.now += seconds
        self.dag.speculate(self.now)
        self.step()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    def step(self) -> None:
        for instruction in self.dag.take(self.now):
            self._carry_out(instruction)
        self.dag.check()

    def _carry_out(self, instruction: Instruction) -> None:
        if isinstance(instruction, Launch):
            self._launch(instruction)
        elif isinstance(instruction, Kill):
            assert instruction.task_id in self.queues[instruction.executor_id], "told to kill what is not there"
            self.killed.append(instruction.task_id)
        elif isinstance(instruction, Recall):
            assert instruction.task_ids
            assert set(instruction.task_ids) <= self.queues[instruction.executor_id].keys() | self.reported
            self.recalled.extend(instruction.task_ids)
        elif isinstance(instruction, DropStage):
            self.binaries.remove((instruction.executor_id, instruction.stage_key))
        elif isinstance(instruction, OutputReady):
            self.ready.append(instruction)
        elif isinstance(instruction, EndExecutor):
            assert instruction.executor_id in self.queues, "told to end what is not there"
            assert instruction.executor_id not in self.ended, "told to end it twice"
            self.ended.append(instruction.executor_id)
        elif isinstance(instruction, BarrierAnswer):
            if instruction.executor_id in self.queues:
                there = self.queues[instruction.executor_id].keys() | self.reported
                assert instruction.release.task_id in there, "answered to nobody"
            self.answers.append(instruction)
        else:
            self.discarded.append(instruction)

    def _launch(self, launch: Launch) -> None:
        held = launch.executor_id, launch.task_set.key
        assert launch.tasks
        assert launch.first == (held not in self.binaries), "the binary is sent exactly once"
        self.binaries.add(held)
        stage = launch.task_set.stage
        rows = {shuffle_id: self.outputs.table(shuffle_id) for shuffle_id in stage.parent_shuffles}
        tables = {shuffle_id: [each and each.map_id for each in row] for shuffle_id, row in rows.items()}
        for task in launch.tasks:
            self.tables[task.task_id] = tables
            assert task.task_id not in self.queues[launch.executor_id]
            if launch.task_set.missing is not None:
                position = list(stage.partitions).index(task.partition_index)
                self.computed[task.task_id] = launch.task_set.missing(position)
            self.queues[launch.executor_id][task.task_id] = (stage, task)
        self.launches.append(launch)

    # --- queries ---

    def ended_executors(self) -> list[str]:
        """Those that it was told to end and that live still."""
        return [executor_id for executor_id in self.ended if executor_id in self.queues]

    def where(self, task_id: int) -> str:
        return next(executor_id for executor_id, queue in self.queues.items() if task_id in queue)

    def loads(self) -> list[int]:
        """How many tasks each executor has."""
        return [len(queue) for queue in self.queues.values()]

    def running(self, of: Job | None = None) -> list[int]:
        """Ids of tasks at executors, in the order of their launch; those of one job's final stage with ``of``."""
        return sorted(
            task_id
            for queue in self.queues.values()
            for task_id, (stage, _) in queue.items()
            if of is None or stage is of.final_stage
        )

    def computing(self, block_id: BlockId) -> list[int]:
        """Tasks at executors that compute this block, but for those that were told to stop."""
        live = set(self.running()).difference(self.killed)
        return [task_id for task_id in sorted(live) if block_id in self.computed.get(task_id, ())]

    def partition(self, task_id: int) -> int:
        return self.queues[self.where(task_id)][task_id][1].partition_index

    def stage(self, task_id: int) -> Stage:
        return self.queues[self.where(task_id)][task_id][0]

    def task(self, partition: int, of: Job | None = None) -> int:
        """The only task at an executor that computes this partition."""
        (found,) = [task_id for task_id in self.running(of) if self.partition(task_id) == partition]
        return found

    def finish_all(self, run_time: float = 1.0) -> int:
        """Let everything succeed until nothing runs; how many tasks that took."""
        done = 0
        while running := self.running():
            self.finish(running[0], run_time=run_time)
            done += 1
        return done

    def assert_idle(self) -> None:
        """No job is left, and nothing of those there were."""
        self.dag.check()
        left = self.dag.statistics()
        assert (left.jobs.running, left.stages.map_stages, left.stages.running) == (0, 0, 0)
        assert (left.stages.waiting, left.stages.retired) == (0, 0)
        stats = self.tasks.statistics()
        assert (stats.task_sets, stats.pending, stats.binaries) == (0, 0, 0)
        assert stats.at_executors == len(self.running())
        assert not self.binaries


def _named(executors: int | Mapping[str, int]) -> Mapping[str, int]:
    return {chr(ord("a") + i): 1 for i in range(executors)} if isinstance(executors, int) else executors


def _describe(stage: Stage, task: RunningTask, failure: TaskFailed, failures: int) -> TaskError:
    return TaskError(f"partition {stage.partitions[task.position]} failed {failures} times: {failure.kind}")


def events(job: Job) -> Events:
    """What a job of a `Lineage` has delivered so far."""
    assert isinstance(job.deliver, Events)
    return job.deliver


class Outcome:
    """What a job's thread saw."""

    def __init__(self, job: Job) -> None:
        self.positions: list[int] = []
        self.updates = 0
        self.end: JobEnd | None = None
        for event in events(job):
            assert self.end is None, "something came after the end"
            if isinstance(event, JobEnd):
                self.end = event
                continue
            for outcome in event:
                self.updates += outcome.updates is not None
                if outcome.position is not None:
                    self.positions.append(outcome.position)

    @property
    def succeeded(self) -> bool:
        return self.end is not None and self.end.error is None

    @property
    def error(self) -> BaseException:
        assert self.end is not None
        assert self.end.error is not None
        return self.end.error


def assert_succeeded(job: Job) -> Outcome:
    """Every position was delivered exactly once, then the end."""
    outcome = Outcome(job)
    assert outcome.succeeded, outcome.end
    assert sorted(outcome.positions) == list(range(len(job.final_stage.partitions)))
    return outcome
