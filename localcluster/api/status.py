"""`StatusTracker`: what jobs, stages and executors are doing, and how those that ended did. PySpark's ``status``.

What jobs and stages are told as is in ``scheduler.job_records``; where the answers come from is ``driver.status``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from localcluster.scheduler.job_records import SparkJobInfo, SparkStageInfo

if TYPE_CHECKING:
    from localcluster.driver.status import ExecutorStatus, Status

__all__ = ["SparkExecutorInfo", "SparkJobInfo", "SparkStageInfo", "StatusTracker"]


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

    def __init__(self, status: Status) -> None:
        self._status = status

    def getJobIdsForGroup(self, jobGroup: str | None = None) -> list[int]:
        """The known jobs of a group, running or ended, newest first; those of no group when it is None."""
        return list(self._status.jobs_of_group(jobGroup))

    def getActiveStageIds(self) -> list[int]:
        """The stages that run tasks, or are about to."""
        return sorted(stage.stage_id for stage in self._status.running_stages())

    def getActiveJobsIds(self) -> list[int]:
        """The jobs that have not ended."""
        return list(self._status.active_jobs())

    def getJobInfo(self, jobId: int) -> SparkJobInfo | None:
        """A job, None when it is not known or forgotten."""
        return self._status.job(jobId)

    def getStageInfo(self, stageId: int) -> SparkStageInfo | None:
        """A stage, None when it is not known or forgotten."""
        return self._status.stage(stageId)

    def getExecutorInfos(self) -> list[SparkExecutorInfo]:
        """Every executor that has registered, and the driver. Nobody when the context is stopped."""
        return list(map(_executor_info, self._status.executors()))


def _executor_info(executor: ExecutorStatus) -> SparkExecutorInfo:
    memory = executor.memory
    return SparkExecutorInfo(
        host="localhost",
        port=memory.block_manager_id.pid,
        cacheSize=memory.memory_used + memory.off_heap_used + memory.disk_used,
        numRunningTasks=len(executor.tasks.running),
        usedOnHeapStorageMemory=memory.memory_used,
        usedOffHeapStorageMemory=memory.off_heap_used,
        totalOnHeapStorageMemory=memory.max_memory,
        totalOffHeapStorageMemory=executor.shared_memory,
    )
