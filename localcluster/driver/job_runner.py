"""Planning a job in the user's thread: cut it into stages, pickle them.

What may take long (pickling lineages) happens here, outside the driver's lock. Does not submit it or take
its results (``running_job``), does not decide where or when tasks run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from queue import SimpleQueue
from typing import Any

from localcluster.driver.cluster import Cluster
from localcluster.driver.context_cleaner import ContextCleaner
from localcluster.driver.planner import Planner
from localcluster.driver.running_job import RunningJob
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.job_service import PlannedJob
from localcluster.rdd.lineage import dump_lineage
from localcluster.rdd.rdd import RDD
from localcluster.scheduler.stage import Job, JobEvent
from localcluster.shuffle.payload import IN_MESSAGE, Payload
from localcluster.task.result_action import ResultAction
from protocol.errors import JobError, LocalClusterError
from storage.serializer import wrap

log = logging.getLogger(__name__)

RESULT_ATTEMPTS = 4  # at a result whose block turns out to be lost or damaged when it is read
STOP_DEADLINE = 5.0  # seconds for the thread of a job in the background to see that the job has ended


class JobRunner:
    """Plans the jobs of one context, and waits at its stop for those in the background. ``profiled(rdd, action)`` is a
    stage's action with a profiler around it, or as it is.
    """

    def __init__(self, cluster: Cluster, cleaner: ContextCleaner, profiled: Callable[[RDDCore[Any], Any], Any]) -> None:
        self._cluster = cluster
        self._cleaner = cleaner
        self._profiled = profiled
        self._job_ids = count()
        self._background: list[threading.Thread] = []
        self._stage_ids = count()

    def plan(
        self,
        rdd: RDD[Any],
        func: Callable[[Any, Any], Any],
        partitions: Sequence[int],
        properties: Mapping[str, str],
        name: str,
        on_result: Callable[[int, Any], None],
        attempts: int = RESULT_ATTEMPTS,
        told: Callable[[], object] | None = None,
    ) -> RunningJob:
        """A job that can be started: ``func(task_context, iterator)`` on each partition. ``on_result(position, value)``
        is called by the thread that collects, as results come; ``told()`` under the driver's lock, when there is
        something to collect: it must be quick and must not raise.

        Raises ClusterError, ContextError, SerializationError.
        """
        self._cluster.check_usable()
        planner = Planner(self._pickle_stage, self._stage_ids.__next__, self._cluster.slots, self._cluster.master)
        stage = planner.result_stage(rdd, ResultAction(func), partitions, name)
        events: SimpleQueue[JobEvent] = SimpleQueue()
        deliver = events.put if told is None else _put_and_tell(events, told)
        job = Job(next(self._job_ids), stage, planner.map_stages, properties, deliver)

        def again(position: int) -> Any:
            # Tasks of a barrier stage run together, or not at all.
            chosen, wanted = (partitions, position) if stage.is_barrier else ([partitions[position]], 0)
            return self._compute_again(rdd, func, chosen, wanted, properties, name, attempts - 1)

        merges = attempts == RESULT_ATTEMPTS  # of a task that runs for its result once more, all else has counted
        return RunningJob(job, events, self._cluster, on_result, planner.lineage, again, merges)

    def _compute_again(
        self,
        rdd: RDD[Any],
        func: Callable[[Any, Any], Any],
        partitions: Sequence[int],
        wanted: int,
        properties: Mapping[str, str],
        name: str,
        attempts: int,
    ) -> Any:
        """The result of one position, by a job of its own: the scheduler is done with the one that lost it."""
        if attempts == 0:
            raise JobError(f"the result of partition {partitions[wanted]} of {name} was lost {RESULT_ATTEMPTS} times")
        results: dict[int, Any] = {}
        self.plan(rdd, func, partitions, properties, name, results.__setitem__, attempts).run()
        return results[wanted]

    def finish_in_background(self, job: PlannedJob) -> None:
        """Nobody waits for the job any more, but it goes on, and its accumulators count."""
        thread = threading.Thread(target=_finish, args=(job,), name="localcluster-background-job", daemon=True)
        self._background = [other for other in self._background if other.is_alive()]
        self._background.append(thread)
        thread.start()

    def stop(self) -> None:
        """After the cluster's stop, which ended all jobs: wait for the threads of those in the background."""
        for thread in self._background:
            thread.join(STOP_DEADLINE)

    def _pickle_stage(self, rdd: RDDCore[Any], action: Any, keeper: ShuffleDependency | None) -> Payload:
        binary = dump_lineage(rdd, self._profiled(rdd, action))
        if len(binary) <= IN_MESSAGE:
            return binary
        block_id = self._cluster.blocks.put_broadcast("stage", *wrap(binary))
        if keeper is not None:  # as long as it lives
            blocks, broadcast_id = self._cluster.blocks, block_id.broadcast_id
            self._cleaner.register(keeper, lambda: blocks.remove_broadcast(broadcast_id))
        return block_id


def _put_and_tell(events: SimpleQueue[JobEvent], told: Callable[[], object]) -> Callable[[JobEvent], None]:
    def deliver(event: JobEvent) -> None:
        events.put(event)
        told()

    return deliver


def _finish(job: PlannedJob) -> None:
    try:
        job.collect()
    except LocalClusterError as error:
        log.info("a job in the background did not end well: %s", error)
    except Exception:  # of an accumulator's own addition, say
        log.exception("the results of a job in the background could not be taken")
