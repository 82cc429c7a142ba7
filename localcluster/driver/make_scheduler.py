"""The scheduler as the settings want it."""

from __future__ import annotations

from collections.abc import Mapping

from localcluster.conf.master_url import Layout
from localcluster.conf.settings import Settings
from localcluster.driver.task_failure import task_failure
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.pools import FairOrder, SchedulingOrder, fifo
from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure
from protocol.events import Recorder


def make_scheduler(
    conf: Mapping[str, str], layout: Layout, outputs: MapOutputTracker, record: Recorder
) -> DAGScheduler:
    """Raises ConfigurationError when the pools cannot be read."""
    settings = Settings(conf)
    return DAGScheduler(
        TaskScheduler(
            order=_order(settings),
            locality_wait=settings.locality_wait,
            speculation=_speculation(settings, layout),
            exclude_on_failure=_exclude_on_failure(settings),
            record=record,
        ),
        outputs,
        describe_failure=task_failure,
        limits=_limits(settings, layout),
        history=JobHistory(settings.ui_retained_jobs, settings.ui_retained_stages),
        record=record,
    )


def _order(settings: Settings) -> SchedulingOrder:
    if settings.scheduler_mode == "FIFO":
        return fifo
    from localcluster.scheduler.allocation_file import read_pools  # few programs need it, and XML takes its time

    return FairOrder(read_pools(settings.scheduler_allocation_file))


def _speculation(settings: Settings, layout: Layout) -> Speculation | None:
    if not settings.speculation:
        return None
    return Speculation(
        settings.speculation_quantile,
        settings.speculation_multiplier,
        settings.speculation_min_task_runtime,
        settings.speculation_task_duration_threshold,
        layout.slots,
    )


def _exclude_on_failure(settings: Settings) -> ExcludeOnFailure | None:
    of_stages, of_all = settings.exclude_on_failure_task_and_stage, settings.exclude_on_failure_application
    wanted = settings.exclude_on_failure
    of_stages, of_all = wanted if of_stages is None else of_stages, wanted if of_all is None else of_all
    if not of_stages and not of_all:
        return None
    return ExcludeOnFailure(
        # An executor is a node of its own here.
        min(settings.exclude_max_task_attempts_per_executor, settings.exclude_max_task_attempts_per_node),
        settings.exclude_stage_max_failed_tasks,
        settings.exclude_application_max_failed_tasks,
        settings.exclude_timeout,
        settings.kill_excluded_executors,
        settings.unschedulable_task_set_timeout,
        of_stages,
        of_all,
    )


def _limits(settings: Settings, layout: Layout) -> Limits:
    return Limits(
        task_failures=layout.max_failures,
        # Also where the master allows one attempt, as local[N] does: Spark's local executors cannot die, ours can.
        task_losses=settings.task_max_failures,
        stage_attempts=settings.stage_max_consecutive_attempts,
        barrier_timeout=settings.barrier_sync_timeout,
        barrier_check_interval=settings.barrier_check_interval,
        barrier_check_failures=settings.barrier_check_max_failures,
        result_size=settings.driver_max_result_size,
    )
