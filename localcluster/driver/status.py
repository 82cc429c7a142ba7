"""`Status`: all that observers ask about a running context: pages and REST API, `StatusTracker`, progress bars.

Each answer is a frozen copy of one moment, made under the driver's lock and nowhere else; any thread may ask. Nothing
is changed, and nothing formatted: that is ``ui``'s and ``progress_views``'. What another observer needs to know is
added here, not read from the driver's parts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from localcluster.conf.master_url import Layout
from localcluster.driver.event_history import EventCounts, EventHistory, in_order
from localcluster.driver.executor_history import FormerExecutor
from localcluster.driver.executor_pool import ExecutorPool, ExecutorStatistics
from localcluster.driver.forked_lock import ForkedLock
from localcluster.driver.heartbeats import Heartbeat, Heartbeats
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.job_records import JobRecord, SparkJobInfo, SparkStageInfo, StageRecord
from localcluster.scheduler.statistics import ExecutorTasks, JobStatistics, StageStatistics, TaskStatistics
from protocol.block_messages import GetBlockStatus, GetMatchingBlockIds, GetMemoryStatus, GetStorageStatus
from protocol.channel_statistics import ChannelStatistics
from protocol.events import Event
from protocol.forks import disown_in_forks
from protocol.locations import DRIVER, BlockManagerId
from protocol.message import Report
from storage.block_id import BlockId, RDDBlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint, MasterStatistics
from storage.block_status import BlockStatus, MemoryStatus
from storage.storage_level import StorageLevel

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD
    from localcluster.scheduler.stage import Stage
    from localcluster.scheduler.task_set import TaskSet

B = TypeVar("B", bound=BlockId)
Blocks: TypeAlias = Mapping[B, Mapping[BlockManagerId, BlockStatus]]
"""{block: {who holds a copy: what it is like}}, those that dead executors left as well."""


class RunningStage(NamedTuple):
    """The current attempt of a stage; numbers of its tasks. ``created`` is in seconds, monotonic."""

    stage_id: int
    attempt: int
    name: str
    tasks: int
    done: int
    active: int
    created: float


class ExecutorStatus(NamedTuple):
    """An executor that has registered, or the driver, which runs no tasks."""

    cores: int
    slots: int  # tasks that it runs at once
    tasks: ExecutorTasks
    added: float | None  # seconds since the epoch; None: it is the driver
    memory: MemoryStatus  # with the id
    shared_memory: int  # bytes that all of them may take together
    heartbeat: Heartbeat | None  # the last; the driver sends none
    is_excluded: bool = False  # it gets no tasks, since too many failed there
    excluded_in_stages: tuple[int, ...] = ()  # ids of running stages of which it gets none


class StoredRdd(NamedTuple):
    """A persisted RDD of which something is stored."""

    rdd_id: int
    name: str
    level: StorageLevel
    partitions: int
    blocks: Blocks[RDDBlockId]


class Statistics(NamedTuple):
    """What `SparkContext.statistics` tells. What counts so far is never reset."""

    executors: ExecutorStatistics
    jobs: JobStatistics
    stages: StageStatistics
    tasks: TaskStatistics
    shuffles: int  # whose outputs are registered
    blocks: MasterStatistics
    messages: ChannelStatistics  # between the driver and its executors
    events: EventCounts


class Status:
    """What observers may ask of a driver, each question at one moment. ``lock`` guards all that is looked at."""

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        dag: DAGScheduler,
        master: BlockManagerMasterEndpoint,
        pool: ExecutorPool,
        heartbeats: Heartbeats,
        events: EventHistory,
        layout: Layout,
    ) -> None:
        self._lock = lock
        self._dag = dag
        self._master = master
        self._pool = pool
        self._heartbeats = heartbeats
        self._events = events
        self._layout = layout
        self.persisted: WeakValueDictionary[int, RDD[Any]] = WeakValueDictionary()
        """{RDD id: RDD}; the context adds and removes."""
        self.kept_rdds: set[int] = set()
        """Ids of the same: to look into the dictionary may be to let an RDD die, which is not for the event loop."""
        disown_in_forks(self)

    def disown(self) -> None:
        self._lock = ForkedLock()

    def statistics(self) -> Statistics:
        with self._lock:
            dag, blocks = self._dag.statistics(), self._master.statistics()
            executors, messages = self._pool.statistics(), self._pool.messages()
            events = self._events.counts()
        return Statistics(executors, dag.jobs, dag.stages, dag.tasks, dag.shuffles, blocks, messages, events)

    def events(self, *types: type[Event]) -> tuple[Event, ...]:
        """What has happened, oldest first; of all types when none is given."""
        with self._lock:
            kept = self._events.kept(*types)
        return in_order(kept)

    # --- jobs and stages ---

    def job(self, job_id: int) -> SparkJobInfo | None:
        """A job; None when it is not known, or forgotten."""
        with self._lock:
            return self._dag.history.job(job_id)

    def stage(self, stage_id: int) -> SparkStageInfo | None:
        """The latest attempt of a stage; None when it is not known, or forgotten."""
        with self._lock:
            return self._dag.history.stage(stage_id)

    def history(self) -> tuple[tuple[JobRecord, ...], tuple[StageRecord, ...]]:
        """All jobs that are remembered, oldest first, and all stages."""
        with self._lock:
            return tuple(self._dag.history.jobs()), tuple(self._dag.history.stages())

    def jobs_of_group(self, group: str | None) -> tuple[int, ...]:
        """Those that are remembered, newest first; None: of no group."""
        with self._lock:
            return tuple(self._dag.history.jobs_of_group(group))

    def active_jobs(self) -> tuple[int, ...]:
        """Those that have not ended, oldest first."""
        with self._lock:
            return tuple(sorted(self._dag.jobs))

    def running_stages(self) -> tuple[RunningStage, ...]:
        """Those that run tasks, or are about to, in the order of their start."""
        with self._lock:
            return tuple(_running(stage, tasks) for stage, tasks in self._dag.running_stages.items())

    # --- executors ---

    def executors(self) -> tuple[ExecutorStatus, ...]:
        """The driver and the executors that have registered; nobody once the context is stopped."""
        with self._lock:
            shared_memory = self._master.statistics().shared_memory_limit
            return tuple(self._executor(memory, shared_memory) for memory in self._ask(GetMemoryStatus(), ()))

    def _executor(self, memory: MemoryStatus, shared_memory: int) -> ExecutorStatus:
        holder = memory.block_manager_id
        cores, slots = (0, 0) if holder.is_driver else (self._layout.cores, self._layout.slots)
        tasks, beat = self._dag.tasks_of(holder.executor_id), self._heartbeats.latest(holder.executor_id)
        added = self._pool.history.added_at(holder.executor_id)
        exclusions = self._dag.exclusions_of(holder.executor_id)
        return ExecutorStatus(cores, slots, tasks, added, memory, shared_memory, beat, *exclusions)

    def former_executors(self) -> Sequence[FormerExecutor]:
        """Those that are gone and remembered, in the order of their ends; also when the context is stopped."""
        with self._lock:
            return self._pool.history.former

    # --- storage ---

    def blocks(self) -> Blocks[BlockId]:
        """All that the block master knows."""
        found: dict[BlockId, dict[BlockManagerId, BlockStatus]] = {}
        with self._lock:
            statuses = self._ask(GetStorageStatus(), ())
        for storage in statuses:
            for block_id, status in storage.blocks.items():
                found.setdefault(block_id, {})[storage.block_manager_id] = status
        return found

    def stored_rdds(self) -> tuple[StoredRdd, ...]:
        """By id."""
        persisted = [reference() for reference in self.persisted.valuerefs()]  # not under the lock: one may die here
        blocks: dict[int, dict[RDDBlockId, Mapping[BlockManagerId, BlockStatus]]] = defaultdict(dict)
        for block_id, copies in self.blocks().items():
            if isinstance(block_id, RDDBlockId):
                blocks[block_id.rdd_id][block_id] = copies
        stored = [_stored_rdd(rdd, blocks[rdd.id()]) for rdd in persisted if rdd is not None and rdd.id() in blocks]
        return tuple(sorted(stored, key=lambda rdd: rdd.rdd_id))

    def stored_blocks(self, rdd_id: int) -> Blocks[RDDBlockId]:
        """Of one RDD, persisted still or not."""
        with self._lock:
            block_ids = self._ask(GetMatchingBlockIds(lambda block_id: block_id.of_rdd == rdd_id), ())
            return {block_id: self._ask(GetBlockStatus(block_id), {}) for block_id in block_ids}

    def _ask(self, query: Report, of_nobody: Any) -> Any:
        """Ask the block master, under the lock; when it has stopped, there is nobody."""
        return of_nobody if self._master.stopped else self._master.receive(DRIVER, query, time.monotonic()).reply


def _running(stage: Stage, tasks: TaskSet) -> RunningStage:
    done, active = tasks.tasks - tasks.unfinished, len(tasks.running)
    return RunningStage(stage.id, tasks.attempt, stage.name, tasks.tasks, done, active, tasks.created)


def _stored_rdd(rdd: RDD[Any], blocks: Blocks[RDDBlockId]) -> StoredRdd:
    name = rdd.name() or rdd.kind or type(rdd).__name__
    partitions = len(rdd._partition_list or ())  # there, since some partition was computed
    return StoredRdd(rdd.id(), name, rdd.getStorageLevel(), partitions, blocks)
