"""`StatusStore`: what a context does, as records with the names of Spark's REST API.

Pages and the API show the same records. Only what is known here is in them: no metrics of tasks, no executors that
are dead. Sizes are in bytes. The driver's lock is held only while its tables are copied.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from localcluster.base.spark_version import SPARK_VERSION
from localcluster.conf.job_properties import JOB_DESCRIPTION, JOB_GROUP, tags_of
from localcluster.conf.spark_conf import redacted
from localcluster.scheduler.job_history import JobRecord, StageRecord
from localcluster.scheduler.pools import DEFAULT_POOL, POOL_PROPERTY
from protocol.locations import BlockManagerId
from storage.block_id import RDDBlockId
from storage.block_status import BlockStatus, MemoryStatus

if TYPE_CHECKING:
    from localcluster.api.context import SparkContext
    from localcluster.rdd.rdd import RDD

Record: TypeAlias = dict[str, Any]
"""As in Spark's JSON. What is not known is left out."""

Copies: TypeAlias = Mapping[BlockManagerId, BlockStatus]
"""A block: {who holds a copy: what it is like}."""

NEVER = "1969-12-31T23:59:59.999GMT"


class StatusStore:
    """Each method looks at one moment, from any thread."""

    def __init__(self, sc: SparkContext) -> None:
        self._sc = sc
        self._cluster = sc._cluster

    def application(self) -> Record:
        started = self._sc.startTime
        attempt = {
            "startTime": _date(started / 1000),
            "endTime": NEVER,
            "lastUpdated": _date(started / 1000),
            "duration": int(time.time() * 1000) - started,
            "sparkUser": self._sc.sparkUser(),
            "completed": False,
            "appSparkVersion": SPARK_VERSION,
            "startTimeEpoch": started,
            "endTimeEpoch": -1,
            "lastUpdatedEpoch": started,
        }
        return {"id": self._sc.applicationId, "name": self._sc.appName, "attempts": [attempt]}

    def jobs(self) -> list[Record]:
        """Newest first. Stages that are forgotten (``spark.ui.retainedStages``) do not count in a job's numbers."""
        with self._cluster.lock:
            jobs, stages = self._cluster.dag.history.jobs(), self._cluster.dag.history.stages()
        by_id = {stage.info.stageId: stage for stage in stages}
        newest_first = sorted(jobs, key=lambda job: job.info.jobId, reverse=True)
        return [job_record(job, [by_id[id] for id in job.info.stageIds if id in by_id]) for job in newest_first]

    def stages(self) -> list[Record]:
        """Newest first; of each its latest attempt."""
        with self._cluster.lock:
            stages = self._cluster.dag.history.stages()
        return [_stage(stage) for stage in sorted(stages, key=lambda stage: stage.info.stageId, reverse=True)]

    def executors(self) -> list[Record]:
        """The driver, which runs no tasks, and the executors that have registered. The off-heap memory, and so a part
        of ``maxMemory``, is shared memory that all of them have together.
        """
        statuses = self._cluster.env.block_manager.master.get_memory_status()
        with self._cluster.lock:
            shared_memory = self._cluster.master.endpoint.statistics().shared_memory_limit
            running = {
                s.block_manager_id: self._cluster.dag.running_at(s.block_manager_id.executor_id) for s in statuses
            }
        return [self._executor(status, running[status.block_manager_id], shared_memory) for status in statuses]

    def _executor(self, status: MemoryStatus, running: int, shared_memory: int) -> Record:
        layout, holder = self._sc._layout, status.block_manager_id
        used, off_heap = status.memory_used, status.off_heap_used
        return {
            "id": holder.executor_id,
            "hostPort": _address(holder),
            "isActive": True,
            "rddBlocks": status.rdd_blocks,
            "memoryUsed": used + off_heap,
            "diskUsed": status.disk_used,
            "totalCores": 0 if holder.is_driver else layout.cores,
            "maxTasks": 0 if holder.is_driver else layout.slots,
            "activeTasks": running,
            "maxMemory": status.max_memory + shared_memory,
            "memoryMetrics": {
                "usedOnHeapStorageMemory": used,
                "usedOffHeapStorageMemory": off_heap,
                "totalOnHeapStorageMemory": status.max_memory,
                "totalOffHeapStorageMemory": shared_memory,
            },
        }

    def rdds(self) -> list[Record]:
        """The persisted RDDs of which something is stored, by id."""
        persisted = [reference() for reference in self._sc._persisted.valuerefs()]
        blocks = self._rdd_blocks()
        rdds = sorted((rdd for rdd in persisted if rdd is not None and rdd.id() in blocks), key=lambda rdd: rdd.id())
        return [_rdd(rdd, blocks[rdd.id()]) for rdd in rdds]

    def _rdd_blocks(self) -> Mapping[int, Mapping[RDDBlockId, Copies]]:
        """{RDD id: its stored blocks}; those that dead executors left as well."""
        found: dict[int, dict[RDDBlockId, dict[BlockManagerId, BlockStatus]]] = defaultdict(lambda: defaultdict(dict))
        for storage in self._cluster.env.block_manager.master.get_storage_status():
            for block_id, status in storage.blocks.items():
                if isinstance(block_id, RDDBlockId):
                    found[block_id.rdd_id][block_id][storage.block_manager_id] = status
        return found

    def environment(self) -> Record:
        """Versions and settings; values that look like secrets are left out, as Spark does."""
        settings = sorted(self._sc._conf.getAll())
        return {
            "runtime": {"pythonVersion": platform.python_version(), "pythonExecutable": self._sc.pythonExec},
            "sparkProperties": [[key, redacted(key, text)] for key, text in settings],
        }


def job_record(job: JobRecord, stages: Sequence[StageRecord]) -> Record:
    """Counts of tasks are over all attempts of the stages."""
    statuses = [stage.status for stage in stages]
    return _known(
        jobId=job.info.jobId,
        name=job.name,
        description=job.properties.get(JOB_DESCRIPTION),
        submissionTime=_date(job.submitted),
        completionTime=_date(job.completed),
        stageIds=job.info.stageIds,
        jobGroup=job.properties.get(JOB_GROUP),
        jobTags=tags_of(job.properties),
        status=job.info.status,
        numTasks=sum(stage.partitions for stage in stages),
        numActiveTasks=sum(stage.info.numActiveTasks for stage in stages),
        numCompletedTasks=sum(stage.earlier_completed + stage.info.numCompletedTasks for stage in stages),
        numSkippedTasks=sum(stage.partitions for stage in stages if stage.status == "SKIPPED"),
        numFailedTasks=sum(stage.earlier_failed + stage.info.numFailedTasks for stage in stages),
        numCompletedIndices=sum(map(_done, stages)),
        numActiveStages=statuses.count("ACTIVE"),
        numCompletedStages=statuses.count("COMPLETE"),
        numSkippedStages=statuses.count("SKIPPED"),
        numFailedStages=statuses.count("FAILED"),
    )


def _done(stage: StageRecord) -> int:
    """How many partitions of a stage that has started are there."""
    started = stage.submitted is not None
    return stage.partitions - (stage.info.numTasks - stage.info.numCompletedTasks) if started else 0


def _stage(stage: StageRecord) -> Record:
    info = stage.info
    return _known(
        status=stage.status,
        stageId=info.stageId,
        attemptId=info.currentAttemptId,
        numTasks=info.numTasks,
        numActiveTasks=info.numActiveTasks,
        numCompleteTasks=info.numCompletedTasks,
        numFailedTasks=info.numFailedTasks,
        numCompletedIndices=info.numCompletedTasks,
        submissionTime=_date(stage.submitted),
        completionTime=_date(stage.completed),
        name=info.name,
        description=stage.properties.get(JOB_DESCRIPTION),
        schedulingPool=stage.properties.get(POOL_PROPERTY, DEFAULT_POOL),
    )


def _rdd(rdd: RDD[Any], blocks: Mapping[RDDBlockId, Copies]) -> Record:
    holders: dict[BlockManagerId, list[BlockStatus]] = defaultdict(list)
    for copies in blocks.values():
        for holder, status in copies.items():
            holders[holder].append(status)
    every = [status for statuses in holders.values() for status in statuses]
    return {
        "id": rdd.id(),
        "name": rdd.name() or rdd.kind or type(rdd).__name__,
        "numPartitions": len(rdd._partition_list or ()),  # there, since some partition was computed
        "numCachedPartitions": len(blocks),
        "storageLevel": str(rdd.getStorageLevel()),
        **_used(every),
        "dataDistribution": [_share(holder, statuses) for holder, statuses in holders.items()],
        "partitions": [_block(block_id, blocks[block_id]) for block_id in sorted(blocks)],
    }


def _share(holder: BlockManagerId, statuses: Sequence[BlockStatus]) -> Record:
    return {
        "address": _address(holder),
        **_used(statuses),
        "onHeapMemoryUsed": sum(status.memory_size for status in statuses),
        "offHeapMemoryUsed": sum(status.off_heap_size for status in statuses),
    }


def _block(block_id: RDDBlockId, copies: Copies) -> Record:
    return {
        "blockName": str(block_id),
        "storageLevel": str(next(iter(copies.values())).storage_level),
        **_used(list(copies.values())),
        "executors": [holder.executor_id for holder in copies],
    }


def _used(statuses: Sequence[BlockStatus]) -> Record:
    return {
        "memoryUsed": sum(status.memory_size + status.off_heap_size for status in statuses),
        "diskUsed": sum(status.disk_size for status in statuses),
    }


def _address(holder: BlockManagerId) -> str:
    """With the process id for a port, since executors listen on none: as `SparkExecutorInfo`."""
    return f"localhost:{holder.pid}"


def _known(**values: object) -> Record:
    return {name: value for name, value in values.items() if value is not None}


def _date(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}GMT"
