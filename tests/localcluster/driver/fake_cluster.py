"""What jobs ask of a cluster, without one: the test says what the scheduler would deliver, and sees what jobs do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

from localcluster.driver.progress import Progress
from localcluster.scheduler.stage import Job, JobEnd, TaskOutcome
from protocol.errors import JobCancelledError
from protocol.locations import DRIVER
from protocol.task_output import InBlock, Inline
from storage import serializer
from storage.block_id import BroadcastBlockId, TaskResultBlockId
from storage.local_transport import LocalCluster


class FakeCluster:
    """``blocks`` are those of the driver and of executors, for results that are blocks."""

    slots = 4
    closed = False

    def __init__(self, blocks: LocalCluster | None = None) -> None:
        self.jobs: dict[int, Job] = {}  # that were submitted and have not ended
        self.cancelled: list[int] = []  # ids of jobs that had not ended
        self.broken: Exception | None = None
        self.broadcasts: dict[int, bytes] = {}  # {broadcast id: bytes}
        self.deferred: list[Callable[[], None]] = []
        self.on_submit: Callable[[Job], None] = lambda job: None
        self.progress = Progress(None, list)
        self.master = self.blocks = self
        self.env = SimpleNamespace(block_manager=blocks and blocks.driver)
        self._blocks = blocks
        self._broadcast_ids = count()

    # --- as `Cluster` ---

    def check_usable(self) -> None:
        if self.broken is not None:
            raise self.broken

    def submit(self, job: Job) -> None:
        self.check_usable()
        self.jobs[job.id] = job
        self.on_submit(job)

    def cancel(self, job_id: int, reason: str) -> None:
        if job_id in self.jobs:
            self.cancelled.append(job_id)
            self.end(self.jobs[job_id], JobCancelledError(reason))

    def later(self, work: Callable[[], None]) -> None:
        self.deferred.append(work)

    def put_broadcast(self, what: str, *chunks: Any) -> BroadcastBlockId:
        block_id = BroadcastBlockId(next(self._broadcast_ids), what)
        self.broadcasts[block_id.broadcast_id] = b"".join(chunks)
        return block_id

    def remove_broadcast(self, broadcast_id: int) -> None:
        del self.broadcasts[broadcast_id]

    def tell(self, message: Any) -> None:
        """To the block master."""
        assert self._blocks is not None
        self._blocks.deliver(DRIVER, message)

    # --- as the scheduler ---

    def end(self, job: Job, error: BaseException | None = None, cause: bytes | None = None) -> None:
        del self.jobs[job.id]
        job.deliver(JobEnd(error, cause))

    def run(self, job: Job, *values: Any) -> None:
        """One result for each position, each in a report of its own, then the end."""
        for position, value in enumerate(values):
            job.deliver([outcome(position, value)])
        self.end(job)

    def stored(self, task_id: int, value: Any) -> InBlock:
        """A result as a block that executor 1 wrote and the master knows."""
        assert self._blocks is not None
        writer, block_id = self._blocks.managers["1"], TaskResultBlockId(task_id)
        location = writer.put_shared(block_id, serializer.dumps(value), tell_master=False)
        self._blocks.endpoint.register_shared(block_id, writer.id, location)
        return InBlock(location)


def outcome(position: int, value: Any, updates: bytes | None = None) -> TaskOutcome:
    """Of a task that has its position's number and a small result."""
    return TaskOutcome(position, position, Inline(b"".join(serializer.dumps(value))), updates)
