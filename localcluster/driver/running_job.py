"""`RunningJob`: a job as seen by the thread that starts it and takes its results.

Covers submission, waiting, results, accumulator updates and the abandonment of a job. Does not plan (``job_runner``).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from localcluster.driver.cluster import Cluster
from localcluster.driver.task_failure import with_cause
from localcluster.scheduler.stage import Job, JobEnd, JobEvent, TaskOutcome
from localcluster.task.accumulators import merge_updates
from protocol import sites
from protocol.block_messages import RemoveBlock
from protocol.errors import CorruptBlockError, StaleLocationError
from protocol.locations import SharedLocation
from protocol.task_output import InBlock, Inline
from storage import serializer
from storage.block_id import BroadcastBlockId, TaskResultBlockId

log = logging.getLogger(__name__)

LIVENESS_CHECK = 1.0  # seconds between looks at whether the event loop still lives


class RunningJob:
    """A job, as the thread knows it that waits for its results.

    ``events`` is where the job delivers. ``on_result(position, value)`` is called by `collect`, in its thread, as
    results come. ``lineage`` is what the job is computed from (`Planner.lineage`). ``again(position)`` computes a
    position's result once more, if that turns out to be lost or damaged, and returns it. ``merges``: what tasks add to
    accumulators counts.
    """

    def __init__(
        self,
        job: Job,
        events: SimpleQueue[JobEvent],
        cluster: Cluster,
        on_result: Callable[[int, Any], None],
        lineage: Sequence[object],
        again: Callable[[int], Any],
        merges: bool = True,
    ) -> None:
        self._job = job
        self._events = events
        self._cluster = cluster
        self._on_result = on_result
        self._lineage = lineage  # kept, not used
        self._again = again
        self._merges = merges

    def run(self) -> None:
        """Start the job and take its results until it has ended.

        Raises TaskError, JobCancelledError, ClusterError, ContextError, SerializationError. An exception in this thread
        (KeyboardInterrupt, or one raised by ``on_result``) cancels the job.
        """
        try:
            self._cluster.submit(self._job)
            self._take(None)
        except BaseException:
            self.abandon()
            raise
        _drop_binary(self._job, self._cluster)

    def start(self) -> None:
        """Submit the job; `collect` or `abandon` must follow. Raises ClusterError, ContextError."""
        try:
            self._cluster.submit(self._job)
        except BaseException:
            self.abandon()
            raise

    def collect(self, seconds: float | None = None) -> bool:
        """Take the results of a started job until it has ended (True) or ``seconds`` are over (False). For one thread
        at a time. Raises what `run` does.
        """
        try:
            ended = self._take(None if seconds is None else time.monotonic() + seconds)
        except BaseException:
            self.abandon()
            raise
        if ended:
            _drop_binary(self._job, self._cluster)
        return ended

    def abandon(self) -> None:
        """Cancel the job unless it has ended; nothing of it is left. Not while another thread collects."""
        _abandon(self._job, self._events, self._cluster)

    def abandon_later(self) -> None:
        """`abandon`, in a thread of the cluster: for finalizers, which may run under any lock. What is the user's
        (results, the lineage) is not passed on to that thread, which would run its finalizers.
        """
        self._cluster.later(partial(_abandon, self._job, self._events, self._cluster))

    def _take(self, deadline: float | None) -> bool:
        with self._cluster.progress.waiting() as look:
            return self._take_until(deadline, look)

    def _take_until(self, deadline: float | None, look: Callable[[], float]) -> bool:
        while True:
            patience = min(LIVENESS_CHECK, look())
            if deadline is not None:
                patience = min(patience, deadline - time.monotonic())
            try:
                event = self._events.get(timeout=max(patience, 0.0))
            except Empty:
                self._cluster.check_usable()
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                continue
            if isinstance(event, JobEnd):
                if event.error is None:
                    return True
                error = event.error if event.cause is None else with_cause(event.error, event.cause)
                try:
                    raise error
                finally:
                    del error, event  # its traceback refers to this frame: only the collector would free what jobs used
            self._take_outcomes(iter(event))

    def _take_outcomes(self, outcomes: Iterator[TaskOutcome]) -> None:
        try:
            for outcome in outcomes:
                if outcome.updates is not None and self._merges:
                    if sites.armed is not None:
                        sites.armed("accumulators.merge")
                    merge_updates(outcome.updates)
                if outcome.position is not None:
                    self._on_result(outcome.position, self._load(outcome))
        except BaseException:
            _remove_results(outcomes, self._cluster)  # of those that came with the same report
            raise

    def _load(self, outcome: TaskOutcome) -> Any:
        """A task's result. Arrays in it own their memory, so that the block can go."""
        if isinstance(outcome.result, Inline):
            return serializer.loads(memoryview(outcome.result.data), copy=True)
        assert outcome.result is not None
        block_id = TaskResultBlockId(outcome.task_id)
        try:
            return self._load_block(block_id, outcome.result.location)
        except (StaleLocationError, CorruptBlockError) as error:
            problem = str(error)
        finally:
            self._cluster.master.tell(RemoveBlock(block_id))
        log.warning("result %s is lost, and its task runs again: %s", block_id, problem)
        assert outcome.position is not None
        return self._again(outcome.position)

    def _load_block(self, block_id: TaskResultBlockId, location: SharedLocation) -> Any:
        """Read, not mapped: the driver must not die when a segment is cut short."""
        blocks = self._cluster.env.block_manager
        try:
            return blocks.load_location(location, block_id)
        except StaleLocationError:
            found = blocks.get_bytes(block_id)  # its writer may still have what lost its name
            if found is None:
                raise
            return serializer.loads(found.memoryview(), copy=True, checked=True)
        except CorruptBlockError:
            for holder in blocks.master.get_block_status(block_id):
                blocks.master.report_corrupt_block(block_id, holder.executor_id, location)
            raise


def _abandon(job: Job, events: SimpleQueue[JobEvent], cluster: Cluster) -> None:
    cluster.cancel(job.id, "because the thread that started it was interrupted")
    _discard_rest(events, cluster)
    _drop_binary(job, cluster)


def _discard_rest(events: SimpleQueue[JobEvent], cluster: Cluster) -> None:
    """Results that nobody will take leave no blocks."""
    with contextlib.suppress(Empty):
        while not isinstance(event := events.get_nowait(), JobEnd):
            _remove_results(event, cluster)


def _remove_results(outcomes: Iterable[TaskOutcome], cluster: Cluster) -> None:
    for outcome in outcomes:
        if isinstance(outcome.result, InBlock):
            cluster.master.tell(RemoveBlock(TaskResultBlockId(outcome.task_id)))


def _drop_binary(job: Job, cluster: Cluster) -> None:
    binary = job.final_stage.binary
    if isinstance(binary, BroadcastBlockId) and not cluster.closed:
        cluster.blocks.remove_broadcast(binary.broadcast_id)
