"""`StatusStore`: what a context does, as records with the names of Spark's REST API.

Pages and the API show the same records. Each kind is made by one function below, those of events by `event_records`: a
field that is added there is in the API's answers, and a column in `pages` shows it. Only what is known is in them: no
metrics of tasks. Sizes are in bytes. What there is to know comes from `localcluster.driver.status`.
"""

from __future__ import annotations

import platform
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from localcluster.base.spark_version import SPARK_VERSION
from localcluster.conf.job_properties import JOB_DESCRIPTION, JOB_GROUP, tags_of
from localcluster.conf.spark_conf import redacted
from localcluster.driver.executor_history import FormerExecutor
from localcluster.driver.heartbeats import Heartbeat
from localcluster.driver.status import ExecutorStatus, Status, StoredRdd
from localcluster.scheduler.job_records import JobRecord, StageRecord
from localcluster.scheduler.pools import DEFAULT_POOL, POOL_PROPERTY
from localcluster.ui.event_records import UNUSUAL, event_record
from localcluster.ui.record import Record, date, known
from protocol.locations import BlockManagerId
from storage.block_id import RDDBlockId
from storage.block_status import BlockStatus

SHOWN_EVENTS = 1000
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
            "startTime": date(started / 1000),
            "endTime": NEVER,
            "lastUpdated": date(started / 1000),
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
        """The driver, which runs no tasks, and the executors that have registered and live."""
        return [_executor(executor) for executor in self._status.executors()]

    def former_executors(self) -> list[Record]:
        """Those that are dead, the newest death first."""
        return [_former_executor(executor) for executor in reversed(self._status.former_executors())]

    def events(self) -> list[Record]:
        """What has happened but the starts of tasks, which would hide it: the last `SHOWN_EVENTS`, newest first."""
        return [event_record(event) for event in reversed(self._status.events(*UNUSUAL)[-SHOWN_EVENTS:])]

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
    return known(
        jobId=job.info.jobId,
        name=job.name,
        description=job.properties.get(JOB_DESCRIPTION),
        submissionTime=date(job.submitted),
        completionTime=date(job.completed),
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
    return known(
        status=stage.status,
        stageId=info.stageId,
        attemptId=info.currentAttemptId,
        numTasks=info.numTasks,
        numActiveTasks=info.numActiveTasks,
        numCompleteTasks=info.numCompletedTasks,
        numFailedTasks=info.numFailedTasks,
        numCompletedIndices=info.numCompletedTasks,
        submissionTime=date(stage.submitted),
        completionTime=date(stage.completed),
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
        "addTime": date(executor.added),
        "isExcluded": executor.is_excluded,
        "isBlacklisted": executor.is_excluded,
        "excludedInStages": list(executor.excluded_in_stages),
        "blacklistedInStages": list(executor.excluded_in_stages),
        "rddBlocks": memory.rdd_blocks,
        "memoryUsed": memory.memory_used + memory.off_heap_used,
        "diskUsed": memory.disk_used,
        "totalCores": executor.cores,
        "maxTasks": executor.slots,
        **_tasks(len(executor.tasks.running), executor.tasks.completed, executor.tasks.failed),
        "maxMemory": memory.max_memory + executor.shared_memory,
        "memoryMetrics": {
            "usedOnHeapStorageMemory": memory.memory_used,
            "usedOffHeapStorageMemory": memory.off_heap_used,
            "totalOnHeapStorageMemory": memory.max_memory,
            "totalOffHeapStorageMemory": executor.shared_memory,
        },
    }
    return known(**record, **(_heartbeat(executor.heartbeat) if executor.heartbeat is not None else {}))


def _former_executor(executor: FormerExecutor) -> Record:
    return {
        "id": executor.executor_id,
        "hostPort": _address(BlockManagerId(executor.executor_id, executor.pid)),
        "isActive": False,
        "addTime": date(executor.added),
        "removeTime": date(executor.removed),
        "removeReason": executor.reason,
        **_tasks(0, executor.completed_tasks, executor.failed_tasks),
    }


def _tasks(active: int, completed: int, failed: int) -> Record:
    return {
        "activeTasks": active,
        "failedTasks": failed,
        "completedTasks": completed,
        "totalTasks": active + failed + completed,
    }


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
