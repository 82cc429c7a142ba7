"""Random clusters that run random jobs, step by step: whatever happens, every job ends, and nothing is left.

A cluster in dicts keeps what the scheduler sent and what has become of it. Executors come and die, tasks succeed, fail,
miss map outputs that were lost, are told to stop and may be done before they hear of it; reports come in batches, late
or twice.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.stage import Job
from localcluster.scheduler.task_scheduler import QUEUE_SECONDS
from localcluster.scheduler.task_set import TaskSet
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure
from protocol.cluster_messages import BarrierCall, TaskResult
from protocol.errors import JobCancelledError, JobError, TaskError
from storage.block_id import RDDBlockId
from tests.localcluster.scheduler.harness import FakeDriver, Outcome
from tests.localcluster.scheduler.lineage import Dataset, Lineage

MAX_EXECUTORS = 4
MAX_FAILURES = 2
MAX_PARTITIONS = 4
RUN_TIMES = st.sampled_from([0.0, QUEUE_SECONDS / 10, QUEUE_SECONDS, 1.0])
PICK = st.integers(0, 2**16)  # which one of what there is


class RandomRuns(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lineage = Lineage()
        self.jobs: list[Job] = []
        self.cancelled: set[int] = set()  # ids of jobs
        self.harmed: set[int] = set()  # ids of jobs that were there when something failed
        self.rdds: list[Dataset] = []
        self.reported: list[tuple[str, TaskResult]] = []
        self.executors = 0

    @initialize(
        fair=st.booleans(),
        wishes=st.booleans(),
        speculation=st.sampled_from([None, Speculation(0.3, 1.5, QUEUE_SECONDS, 1.0)]),
        excluding=st.sampled_from([None, None, ExcludeOnFailure(timeout=5.0, unschedulable_timeout=3.0, kills=True)]),
        cores=st.lists(st.integers(1, 3), max_size=2),
    )
    def start(
        self,
        fair: bool,
        wishes: bool,
        speculation: Speculation | None,
        excluding: ExcludeOnFailure | None,
        cores: list[int],
    ) -> None:
        self.wishes = wishes  # whether tasks prefer executors
        self.driver = FakeDriver(
            0,
            fair=fair,
            max_failures=MAX_FAILURES,
            max_stage_attempts=3,
            locality_wait=1.0,
            speculation=speculation,
            exclude_on_failure=excluding,
            barrier_checks=(1.0, 3),
        )
        for count in cores:
            self.executor_joins(count)

    # --- what users do ---

    @rule(partitions=st.integers(0, MAX_PARTITIONS))
    def make_source(self, partitions: int) -> None:
        self.rdds.append(self.lineage.source(partitions))

    @precondition(lambda self: self.rdds)
    @rule(pick=PICK)
    def make_barrier_rdd(self, pick: int) -> None:
        self.rdds.append(self.lineage.barrier(self.pick(self.rdds, pick)))

    @precondition(lambda self: self.rdds)
    @rule(picks=st.lists(PICK, min_size=1, max_size=3), shuffle=st.booleans(), partitions=st.integers(1, 4))
    def make_rdd(self, picks: list[int], shuffle: bool, partitions: int) -> None:
        parents = [self.pick(self.rdds, pick) for pick in picks]
        if shuffle:
            self.rdds.append(self.lineage.shuffled(*parents, partitions=partitions))
        else:
            self.rdds.append(self.lineage.narrow(*parents))

    @precondition(lambda self: self.rdds)
    @rule(
        pick=PICK,
        some=st.booleans(),
        pool=st.sampled_from(["x", "y"]),
        homes=st.lists(PICK, max_size=2),
        kept=st.lists(st.integers(0, 3), max_size=2),
    )
    def submit_job(self, pick: int, some: bool, pool: str, homes: list[int], kept: list[int]) -> None:
        rdd = self.pick(self.rdds, pick)
        if kept:  # tasks of all such RDDs compute the same few blocks
            kept_blocks = {i: [RDDBlockId(0, (i + k) % 4) for k in kept] for i in range(rdd.partitions)}
            rdd.missing = self.driver.missing_of(kept_blocks)
        partitions = [i for i in range(rdd.partitions) if not some or i % 2]
        if self.wishes:
            names = [f"e{home % (self.executors + 1)}" for home in homes]  # living, dead and never born
            rdd.wishes = {i: names for i in range(0, rdd.partitions, 2) if names}
        job = self.lineage.job(rdd, partitions, pool=pool)
        self.jobs.append(job)
        self.driver.submit(job)

    @precondition(lambda self: self.driver.dag.jobs)
    @rule(pick=PICK)
    def cancel_job(self, pick: int) -> None:
        job = self.pick(list(self.driver.dag.jobs.values()), pick)
        self.cancelled.add(job.id)
        self.driver.cancel(job)

    @precondition(lambda self: self.driver.dag.jobs)
    @rule(pick=PICK)
    def clean_shuffle(self, pick: int) -> None:
        self.driver.outputs.unregister_shuffle(pick % 8)

    # --- what executors do ---

    @precondition(lambda self: len(self.driver.queues) < MAX_EXECUTORS)
    @rule(cores=st.integers(1, 3))
    def executor_joins(self, cores: int) -> None:
        self.driver.add(f"e{self.executors}", cores)
        self.executors += 1

    @precondition(lambda self: self.driver.queues)
    @rule(pick=PICK)
    def executor_dies(self, pick: int) -> None:
        self.note_harm()
        self.driver.lose(self.pick(list(self.driver.queues), pick))

    @precondition(lambda self: self.driver.tasks.executors)
    @rule(pick=PICK)
    def executor_drains(self, pick: int) -> None:
        self.driver.drain(self.pick(list(self.driver.tasks.executors), pick))

    @precondition(lambda self: self.driver.dag.drained_executors())
    @rule(pick=PICK)
    def a_drained_executor_leaves(self, pick: int) -> None:
        """Which harms nobody."""
        self.driver.lose(self.pick(self.driver.dag.drained_executors(), pick))

    @precondition(lambda self: self.driver.running())
    @rule(pick=PICK, count=st.integers(1, 5), run_time=RUN_TIMES)
    def tasks_succeed(self, pick: int, count: int, run_time: float) -> None:
        """The first tasks of one executor's queue, in one report."""
        executor_id, queue = self.pick([(e, q) for e, q in self.driver.queues.items() if q], pick)
        task_ids = list(queue)[:count]
        self.reported += [(executor_id, self.driver.result(executor_id, task_id)) for task_id in task_ids]
        self.driver.finish(*task_ids, run_time=run_time)

    @precondition(lambda self: self.driver.running())
    @rule(pick=PICK, run_time=RUN_TIMES)
    def any_task_succeeds(self, pick: int, run_time: float) -> None:
        self.driver.finish(self.pick(self.driver.running(), pick), run_time=run_time)

    @precondition(lambda self: self.driver.running())
    @rule(pick=PICK, kind=st.sampled_from(["exception", "exception", "fatal"]))
    def task_fails(self, pick: int, kind: str) -> None:
        self.note_harm()
        self.driver.fail(self.pick(self.driver.running(), pick), kind)

    @precondition(lambda self: self.readers())
    @rule(pick=PICK, index=PICK)
    def task_misses_an_output(self, pick: int, index: int) -> None:
        """Whether it is still missing or was computed again since."""
        self.note_harm()
        task_id = self.pick(self.readers(), pick)
        shuffle_id = self.pick(self.driver.stage(task_id).parent_shuffles, index)
        maps = len(self.driver.outputs.table(shuffle_id))
        self.driver.fail(task_id, "fetch", fetch=(shuffle_id, (index % maps if maps else 0,)))

    @precondition(lambda self: self.reported)
    @rule(pick=PICK)
    def a_result_is_reported_again(self, pick: int) -> None:
        executor_id, result = self.pick(self.reported, pick)
        self.driver.dag.tasks_finished(executor_id, [result], self.driver.now)
        self.driver.step()

    @precondition(lambda self: self.told_to_stop())
    @rule(pick=PICK)
    def a_task_that_was_told_to_stop_stops(self, pick: int) -> None:
        self.driver.give_back(self.pick(self.told_to_stop(), pick))

    @precondition(lambda self: self.at_barriers())
    @rule(pick=PICK, function=st.sampled_from(["barrier", "barrier", "allGather"]))
    def a_task_reaches_a_barrier(self, pick: int, function: str) -> None:
        task_id = self.pick(self.at_barriers(), pick)
        where = self.driver.where(task_id)
        self.driver.dag.barrier_called(where, BarrierCall(task_id, 0, function, ""), self.driver.now)
        self.driver.step()

    @precondition(lambda self: self.driver.computed)
    @rule(pick=PICK, block=PICK)
    def a_block_is_stored(self, pick: int, block: int) -> None:
        blocks = [b for blocks in self.driver.computed.values() for b in blocks]
        if blocks:
            self.driver.store(self.pick(blocks, block))

    @precondition(lambda self: self.driver.stored)
    @rule(pick=PICK)
    def a_block_is_evicted(self, pick: int) -> None:
        self.driver.stored.remove(self.pick(sorted(self.driver.stored), pick))

    # --- what the driver's clock does ---

    @rule(seconds=st.sampled_from([0.01, 0.2, 2.0]), recall=st.booleans())
    def time_passes(self, seconds: float, recall: bool) -> None:
        self.driver.dag.expire_barriers(self.driver.now)
        self.driver.speculate(seconds)
        if recall:
            self.driver.recall()

    # --- what must hold ---

    @invariant()
    def no_core_is_free_while_tasks_wait(self) -> None:
        sets = [tasks for tasks in self.driver.dag.running_stages.values() if tasks.pending]
        if not self.wishes and not any(tasks.barrier for tasks in sets):
            for executor_id in self.with_a_free_core():
                assert all(tasks.pending <= len(self.barred(tasks, executor_id)) for tasks in sets)

    @invariant()
    def no_core_is_free_while_a_straggler_elsewhere_wants_a_copy(self) -> None:
        for stage, tasks in self.driver.dag.running_stages.items():
            if not any(other.is_barrier for other in self.driver.dag.running_stages):
                for position, straggler_at in tasks.copies_wanted.items():
                    for executor_id in self.with_a_free_core():
                        assert executor_id == straggler_at or position in self.barred(tasks, executor_id), stage

    @invariant()
    def a_missing_block_is_computed_once_at_a_time(self) -> None:
        for block_id in {b for blocks in self.driver.computed.values() for b in blocks}:
            alone = 0
            for task_id in self.driver.computing(block_id):
                found = self.driver.tasks.running_task(self.driver.where(task_id), task_id)
                assert found is not None
                alone += found[0].barrier is None and block_id not in found[0].in_vain and task_id not in self.copies()
            assert alone <= 1

    def teardown(self) -> None:
        """From now on all goes well: then every job ends."""
        if not hasattr(self, "driver"):
            return
        driver = self.driver
        while sum(slots.cores for slots in driver.tasks.executors.values()) < MAX_PARTITIONS:
            self.executor_joins(1)
        while driver.dag.jobs:
            driver.dag.expire_barriers(driver.now)
            driver.step()
            stopped = self.told_to_stop()
            if ended := driver.ended_executors():
                driver.lose(ended[0])
                self.executor_joins(MAX_PARTITIONS)
            elif stopped:
                driver.give_back(stopped[0])
            elif running := driver.running():
                driver.finish(running[0])
            else:
                assert driver.tasks.statistics().pending, "jobs are left and no task waits"
                driver.wait(2.0)
                assert driver.running() or not driver.dag.jobs, "jobs are left, tasks wait, and none is launched"
        driver.assert_idle()
        for job in self.jobs:
            self.check_end(job)

    def check_end(self, job: Job) -> None:
        outcome = Outcome(job)
        assert outcome.end is not None
        assert len(outcome.positions) == len(set(outcome.positions)), "a position was delivered twice"
        error = outcome.end.error
        if error is None:
            assert sorted(outcome.positions) == list(range(len(job.final_stage.partitions)))
        elif isinstance(error, JobCancelledError):
            assert job.id in self.cancelled
        elif "requires more slots" in str(error):
            assert any(stage.is_barrier for stage in (job.final_stage, *job.map_stages.values()))
        else:
            assert isinstance(error, JobError)
            assert job.id in self.harmed
            if isinstance(error, TaskError):
                # Failures of a task's own and those with its executor have a limit each.
                reasons = ("fatal", *(f"failed {n} times" for n in range(MAX_FAILURES, 2 * MAX_FAILURES)))
                assert any(reason in str(error) for reason in reasons)

    # --- help ---

    def pick(self, items: Any, pick: int) -> Any:
        return items[pick % len(items)]

    def note_harm(self) -> None:
        self.harmed.update(self.driver.dag.jobs)

    def with_a_free_core(self) -> list[str]:
        executors = self.driver.tasks.executors.items()
        return [id for id, slots in executors if len(slots.tasks) < slots.cores and not slots.excluded]

    def barred(self, tasks: TaskSet, executor_id: str) -> set[int]:
        """The positions that must not run there."""
        failed = tasks.excludelist
        if failed is None:
            return set()
        if executor_id in failed.executors:
            return set(range(len(tasks.stage.partitions)))
        return set(failed.barred_from(executor_id))

    @precondition(lambda self: self.driver.ended_executors())
    @rule(pick=PICK)
    def an_executor_that_was_told_to_end_ends(self, pick: int) -> None:
        """Which harms nobody."""
        self.driver.lose(self.pick(self.driver.ended_executors(), pick))

    def copies(self) -> set[int]:
        """Of two tasks of one set that compute the same, the later ones."""
        first: dict[tuple[int, int], int] = {}
        found = set()
        for task_id in self.driver.running():
            known = self.driver.tasks.running_task(self.driver.where(task_id), task_id)
            if known is not None and first.setdefault((known[0].key, known[1].position), task_id) != task_id:
                found.add(task_id)
        return found

    def readers(self) -> list[int]:
        """Tasks that read a shuffle."""
        return [task_id for task_id in self.driver.running() if self.driver.stage(task_id).parent_shuffles]

    def at_barriers(self) -> list[int]:
        return [task_id for task_id in self.driver.running() if self.driver.stage(task_id).is_barrier]

    def told_to_stop(self) -> list[int]:
        told = {*self.driver.killed, *self.driver.recalled}
        return [task_id for task_id in self.driver.running() if task_id in told]


TestRandomRuns = RandomRuns.TestCase
TestRandomRuns.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
