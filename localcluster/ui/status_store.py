"""`StatusStore`: what a context does, as records with the names of Spark's REST API.

Pages and the API show the same records. Each kind is made by one function below: a field that is added there is in the
API's answers, and a column in `pages` shows it. Only what is known is in them: no metrics of tasks, no executors that
are dead. Sizes are in bytes. What there is to know comes from `localcluster.driver.status`.
"""

from __future__ import annotations

import platform
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple, TypeAlias

from localcluster.base.spark_version import SPARK_VERSION
from localcluster.conf.job_properties import JOB_DESCRIPTION, JOB_GROUP, tags_of
from localcluster.conf.spark_conf import redacted
from localcluster.driver.heartbeats import Heartbeat
from localcluster.driver.status import ExecutorStatus, Status, StoredRdd
from localcluster.scheduler.job_records import JobRecord, StageRecord
from localcluster.scheduler.pools import DEFAULT_POOL, POOL_PROPERTY
from protocol.locations import BlockManagerId
from storage.block_id import RDDBlockId
from storage.block_status import BlockStatus

Record: TypeAlias = dict[str, Any]
"""As in Spark's JSON. What is not known is left out."""

NEVER = "1969-12-31T23:59:59.999GMT"


class ApplicationRecord(NamedTuple):
    """What a context is; ``started`` is in milliseconds since the epoch."""

    id: str
    name: str
    user: str
    started: int
    settings: Mapping[str, str]


class StatusStore:
    """The records that pages and REST API show. Each method looks at one moment, from any thread."""

    def __init__(self, application: ApplicationRecord, status: Status) -> None:
        self._application = application
        self._status = status

    def application(self) -> Record:
        id, name, user, started, _ = self._application
        attempt = {
            "startTime": _date(started / 1000),
            "endTime": NEVER,
            "lastUpdated": _date(started / 1000),
            "duration": int(time.time() * 1000) - started,
            "sparkUser": user,
            "completed": False,
            "appSparkVersion": SPARK_VERSION,
            "startTimeEpoch": started,
            "endTimeEpoch": -1,
            "lastUpdatedEpoch": started,
        }
        return {"id": id, "name": name, "attempts": [attempt]}

    def jobs(self) -> list[Record]:
        """Newest first. Stages that are forgotten (``spark.ui.retainedStages``) do not count in a job's numbers."""
        jobs, stages = self._status.history()
        by_id = {stage.info.stageId: stage for stage in stages}
        newest_first = sorted(jobs, key=lambda job: job.info.jobId, reverse=True)
        return [job_record(job, [by_id[id] for id in job.info.stageIds if id in by_id]) for job in newest_first]

    def stages(self) -> list[Record]:
        """Newest first; of each its latest attempt."""
        _, stages = self._status.history()
        return [_stage(stage) for stage in sorted(stages, key=lambda stage: stage.info.stageId, reverse=True)]

    def executors(self) -> list[Record]:
        """The driver, which runs no tasks, and the executors that have registered."""
        return [_executor(executor) for executor in self._status.executors()]

    def rdds(self) -> list[Record]:
        """The persisted RDDs of which something is stored, by id."""
        return [_rdd(rdd) for rdd in self._status.stored_rdds()]

    def environment(self) -> Record:
        """Versions and settings; values that look like secrets are left out, as Spark does."""
        return {
            "runtime": {"pythonVersion": platform.python_version(), "pythonExecutable": sys.executable},
            "sparkProperties": [[key, redacted(key, text)] for key, text in sorted(self._application.settings.items())],
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


def _executor(executor: ExecutorStatus) -> Record:
    """The off-heap memory, and so a part of ``maxMemory``, is shared memory that all executors have together."""
    memory = executor.memory
    record = {
        "id": memory.block_manager_id.executor_id,
        "hostPort": _address(memory.block_manager_id),
        "isActive": True,
        "rddBlocks": memory.rdd_blocks,
        "memoryUsed": memory.memory_used + memory.off_heap_used,
        "diskUsed": memory.disk_used,
        "totalCores": executor.cores,
        "maxTasks": executor.slots,
        "activeTasks": executor.active_tasks,
        "maxMemory": memory.max_memory + executor.shared_memory,
        "memoryMetrics": {
            "usedOnHeapStorageMemory": memory.memory_used,
            "usedOffHeapStorageMemory": memory.off_heap_used,
            "totalOnHeapStorageMemory": memory.max_memory,
            "totalOffHeapStorageMemory": executor.shared_memory,
        },
    }
    return record if executor.heartbeat is None else {**record, **_heartbeat(executor.heartbeat)}


def _heartbeat(beat: Heartbeat) -> Record:
    """Spark's only field for it, and what we know besides."""
    return {
        "peakMemoryMetrics": {"ProcessTreePythonRSSMemory": beat.peak_rss},
        "localcluster": {
            "ownMemory": beat.own,
            "sharedMemory": beat.shared,
            "runningTasks": beat.running,
            "secondsSinceHeartbeat": round(time.monotonic() - beat.heard_at, 3),
        },
    }


def _rdd(rdd: StoredRdd) -> Record:
    holders: dict[BlockManagerId, list[BlockStatus]] = defaultdict(list)
    for copies in rdd.blocks.values():
        for holder, status in copies.items():
            holders[holder].append(status)
    every = [status for statuses in holders.values() for status in statuses]
    return {
        "id": rdd.rdd_id,
        "name": rdd.name,
        "numPartitions": rdd.partitions,
        "numCachedPartitions": len(rdd.blocks),
        "storageLevel": str(rdd.level),
        **_used(every),
        "dataDistribution": [_share(holder, statuses) for holder, statuses in holders.items()],
        "partitions": [_block(block_id, rdd.blocks[block_id]) for block_id in sorted(rdd.blocks)],
    }


def _share(holder: BlockManagerId, statuses: Sequence[BlockStatus]) -> Record:
    return {
        "address": _address(holder),
        **_used(statuses),
        "onHeapMemoryUsed": sum(status.memory_size for status in statuses),
        "offHeapMemoryUsed": sum(status.off_heap_size for status in statuses),
    }


def _block(block_id: RDDBlockId, copies: Mapping[BlockManagerId, BlockStatus]) -> Record:
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
