"""Running a job from the user's thread: plan, submit, take results as they come.

Everything that may take long (pickling lineages, reading results) happens here, outside the driver's lock. Does not
decide where or when tasks run.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from queue import Empty
from typing import Any

from localcluster.accumulators import Accumulator, merge_updates
from localcluster.driver.cluster import Cluster
from localcluster.driver.context_cleaner import ContextCleaner
from localcluster.executor.task_runner import ResultAction
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.lineage import dump_lineage
from localcluster.rdd.rdd import RDD
from localcluster.scheduler.stage import Job, JobEnd, Planner, StageBinary, TaskOutcome
from protocol.block_messages import RemoveBlock
from storage import serializer
from storage.block_id import BroadcastBlockId, TaskResultBlockId

log = logging.getLogger(__name__)

INLINE_BINARY = 48 * 1024  # bytes of a stage's binary sent in a message; larger ones become a broadcast block
LIVENESS_CHECK = 1.0  # seconds between looks at whether the event loop still lives


class JobRunner:
    """``accumulators`` are the driver's, by id; tasks' updates are merged into them in the job's own thread."""

    def __init__(self, cluster: Cluster, accumulators: Mapping[int, Accumulator[Any]], cleaner: ContextCleaner) -> None:
        self._cluster = cluster
        self._cleaner = cleaner
        self._accumulators = accumulators
        self._job_ids = count()
        self._stage_ids = count()

    def run(
        self,
        rdd: RDD[Any],
        func: Callable[[Any, Any], Any],
        partitions: Sequence[int],
        properties: Mapping[str, str],
        name: str,
        on_result: Callable[[int, Any], None],
    ) -> None:
        """Run ``func(task_context, iterator)`` on each partition and call ``on_result(position, value)`` as results
        come.

        Raises TaskError, JobCancelledError, ClusterError, ContextError, SerializationError. An exception in this thread
        (KeyboardInterrupt, or one raised by ``on_result``) cancels the job.
        """
        self._cluster.check_usable()
        planner = Planner(self._pickle_stage, self._stage_ids.__next__)
        stage = planner.result_stage(rdd, ResultAction(func), partitions, name)
        job = Job(next(self._job_ids), stage, planner.map_stages, properties)
        try:
            self._cluster.submit(job)
            self._collect(job, on_result)
        except BaseException:
            self._cluster.cancel(job.id, "because the thread that started it was interrupted")
            self._discard_rest(job)
            raise
        finally:
            self._drop_binary(stage.binary)

    def _collect(self, job: Job, on_result: Callable[[int, Any], None]) -> None:
        while True:
            try:
                event = job.events.get(timeout=LIVENESS_CHECK)
            except Empty:
                self._cluster.check_usable()
                continue
            if isinstance(event, JobEnd):
                if event.error is not None:
                    raise event.error
                return
            for outcome in event:
                if outcome.updates is not None:
                    merge_updates(self._accumulators, outcome.updates)
                if outcome.position is not None:
                    on_result(outcome.position, self._load(outcome))

    def _discard_rest(self, job: Job) -> None:
        """Results that nobody will take leave no blocks."""
        with contextlib.suppress(Empty):
            while not isinstance(event := job.events.get_nowait(), JobEnd):
                for outcome in event:
                    if not isinstance(outcome.result, (bytes, type(None))):
                        self._cluster.master.tell(RemoveBlock(TaskResultBlockId(outcome.task_id)))

    def _load(self, outcome: TaskOutcome) -> Any:
        """A task's result. Arrays in it own their memory, so that the block can go."""
        if isinstance(outcome.result, bytes):
            return serializer.loads(memoryview(outcome.result), copy=True)
        assert outcome.result is not None
        buffer = self._cluster.env.block_manager.read_location(outcome.result)
        try:
            return serializer.loads(buffer.memoryview(), copy=True)
        finally:
            buffer.release()
            self._cluster.master.tell(RemoveBlock(TaskResultBlockId(outcome.task_id)))

    def _pickle_stage(self, rdd: RDD[Any], action: Any) -> StageBinary:
        binary = dump_lineage(rdd, action)
        if len(binary) <= INLINE_BINARY:
            return binary
        block_id = self._cluster.put_broadcast(binary)
        if isinstance(action, ShuffleDependency):  # which keeps its binary as long as it lives
            cluster, broadcast_id = self._cluster, block_id.broadcast_id
            self._cleaner.register(action, lambda: cluster.remove_broadcast(broadcast_id))
        return block_id

    def _drop_binary(self, binary: StageBinary) -> None:
        if isinstance(binary, BroadcastBlockId) and not self._cluster.closed:
            self._cluster.remove_broadcast(binary.broadcast_id)
