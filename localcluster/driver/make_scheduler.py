"""The scheduler as the settings want it."""

from __future__ import annotations

from collections.abc import Mapping

from localcluster.conf import settings
from localcluster.conf.master_url import Layout
from localcluster.driver.task_failure import task_failure
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.pools import FairOrder, SchedulingOrder, fifo
from localcluster.scheduler.task_scheduler import TaskScheduler


def make_scheduler(conf: Mapping[str, str], layout: Layout, outputs: MapOutputTracker) -> DAGScheduler:
    """Raises ConfigurationError when the pools cannot be read."""
    return DAGScheduler(
        TaskScheduler(order=_order(conf), locality_wait=settings.value(conf, "spark.locality.wait")),
        outputs,
        describe_failure=task_failure,
        limits=_limits(conf, layout),
        history=JobHistory(
            settings.value(conf, "spark.ui.retainedJobs"), settings.value(conf, "spark.ui.retainedStages")
        ),
    )


def _order(conf: Mapping[str, str]) -> SchedulingOrder:
    if settings.value(conf, "spark.scheduler.mode") == "FIFO":
        return fifo
    from localcluster.scheduler.allocation_file import read_pools  # few programs need it, and XML takes its time

    return FairOrder(read_pools(settings.value(conf, "spark.scheduler.allocation.file")))


def _limits(conf: Mapping[str, str], layout: Layout) -> Limits:
    return Limits(
        task_failures=layout.max_failures,
        # Also where the master allows one attempt, as local[N] does: Spark's local executors cannot die, ours can.
        task_losses=settings.value(conf, "spark.task.maxFailures"),
        stage_attempts=settings.value(conf, "spark.stage.maxConsecutiveAttempts"),
        barrier_timeout=settings.value(conf, "spark.barrier.sync.timeout"),
        result_size=settings.value(conf, "spark.driver.maxResultSize"),
    )
