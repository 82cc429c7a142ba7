"""`StatusTracker`: what jobs, stages and executors are doing, and how those that ended did. PySpark's ``status``.

Covers the records that programs get. What is remembered, and for how long, is in ``scheduler.job_history``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from storage.block_status import MemoryStatus


class SparkJobInfo(NamedTuple):
    """A job: ``status`` is RUNNING, SUCCEEDED or FAILED. Stages whose output was there already are listed, too."""

    jobId: int
    stageIds: list[int]
    status: str


class SparkStageInfo(NamedTuple):
    """The latest attempt of a stage; numbers of its tasks. A stage that never started has none of them done.
    Short tasks queued at an executor count as active.
    """

    stageId: int
    currentAttemptId: int
    name: str
    numTasks: int
    numActiveTasks: int
    numCompletedTasks: int
    numFailedTasks: int


class SparkExecutorInfo(NamedTuple):
    """An executor or the driver. ``port`` is its process id, since it listens on none; sizes are in bytes.
    ``totalOffHeapStorageMemory`` is the shared memory of all of them together.
    """

    host: str
    port: int
    cacheSize: int
    numRunningTasks: int
    usedOnHeapStorageMemory: int
    usedOffHeapStorageMemory: int
    totalOnHeapStorageMemory: int
    totalOffHeapStorageMemory: int


class StatusTracker:
    """Made by ``sc.statusTracker()``. Each call looks at one moment; jobs and stages that ended long ago are
    forgotten (``spark.ui.retainedJobs``, ``spark.ui.retainedStages``).
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def getJobIdsForGroup(self, jobGroup: str | None = None) -> list[int]:
        """The known jobs of a group, running or ended, newest first; those of no group when it is None."""
        with self._cluster.lock:
            return self._cluster.dag.history.jobs_of_group(jobGroup)

    def getActiveStageIds(self) -> list[int]:
        """The stages that run tasks, or are about to."""
        with self._cluster.lock:
            return sorted(stage.id for stage in self._cluster.dag.running_stages)

    def getActiveJobsIds(self) -> list[int]:
        """The jobs that have not ended."""
        with self._cluster.lock:
            return sorted(self._cluster.dag.jobs)

    def getJobInfo(self, jobId: int) -> SparkJobInfo | None:
        """A job, None when it is not known or forgotten."""
        with self._cluster.lock:
            return self._cluster.dag.history.job(jobId)

    def getStageInfo(self, stageId: int) -> SparkStageInfo | None:
        """A stage, None when it is not known or forgotten."""
        with self._cluster.lock:
            return self._cluster.dag.history.stage(stageId)

    def getExecutorInfos(self) -> list[SparkExecutorInfo]:
        """Every executor that has registered, and the driver. Nobody when the context is stopped."""
        if self._cluster.closed:
            return []
        statuses = self._cluster.env.block_manager.master.get_memory_status()
        with self._cluster.lock:
            shared_memory = self._cluster.master.endpoint.statistics().shared_memory_limit
            running = self._cluster.dag.running_at
            return [
                _executor_info(status, running(status.block_manager_id.executor_id), shared_memory)
                for status in statuses
            ]


def _executor_info(status: MemoryStatus, running: int, shared_memory: int) -> SparkExecutorInfo:
    used, off_heap = status.memory_used, status.off_heap_used
    pid = status.block_manager_id.pid
    return SparkExecutorInfo(
        "localhost", pid, used + off_heap + status.disk_used, running, used, off_heap, status.max_memory, shared_memory
    )
