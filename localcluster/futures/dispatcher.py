"""`Dispatcher`: the thread that makes jobs of an executor's calls, and settles their futures.

Calls that wait are its own; those that it has handed out are tasks of jobs, and run or are about to. It hands out as
many as keep all executors busy, many together if they are short. Covers the end: of the executor, of the context under
it, of a call that takes its executors with it. Does not know what a call is (``remote_call``).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from localcluster.api.context import SparkContext
from localcluster.driver.running_job import LIVENESS_CHECK, RunningJob
from localcluster.futures.outcome import Outcome, Raised
from localcluster.futures.remote_call import RemoteCall
from localcluster.rdd.parallel_collection_rdd import ParallelCollectionRDD
from localcluster.rdd.partition_data import PartitionData
from protocol.errors import ClusterError, ContextError, JobCancelledError, JobError

log = logging.getLogger(__name__)

AHEAD = 0.05  # seconds of work that are handed out beyond one call for each core
MAX_AHEAD = 512  # calls


class Call(NamedTuple):
    """A call that waits or runs. ``blocks`` must live until it has ended."""

    future: Future[Any]
    data: PartitionData
    blocks: object


class Batch:
    """Calls that are handed out together: one job."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.unsettled = dict(enumerate(calls))  # {position in the job: call}
        self.job: RunningJob | None = None


Order: TypeAlias = Callable[[], None]


class Dispatcher:
    """``width``: the most calls that run at once. ``name``: what pages show of its jobs, which have the local
    properties (pool, group, tags) of the thread that makes the dispatcher.
    """

    def __init__(self, context: SparkContext, width: int | None, name: str, action: RemoteCall) -> None:
        self.broken: BrokenExecutor | None = None
        """Why no call can be made any more."""
        self._context = context
        self._width = width
        self._name = name
        self._action = action
        self._inbox: SimpleQueue[Call | Batch | Order] = SimpleQueue()
        self._waiting: deque[Call] = deque()
        self._alone: deque[Call] = deque()  # that were in a job which one of them has failed
        self._batches: set[Batch] = set()
        self._mean_time: float | None = None  # seconds of a call, moving average
        self._closing = False
        self._properties = context._jobs.properties.copy()

    def start(self, on_end: Callable[[], None]) -> None:
        """``on_end()`` is the last that the thread does."""
        self.thread = threading.Thread(target=self._run, args=(on_end,), name="localcluster-calls", daemon=True)
        self.thread.start()

    # --- for any thread ---

    def put(self, call: Call) -> None:
        """Not after `close`."""
        self._inbox.put(call)

    def close(self, cancel: bool = False) -> None:
        """End when all calls have, those that wait too unless they are to be cancelled. Finalizers may call it."""
        self._inbox.put(partial(self._close, cancel))

    def abandon(self) -> None:
        """Cancel all calls that were put so far, also those that run."""
        self._inbox.put(self._abandon)

    # --- its own thread ---

    def _run(self, on_end: Callable[[], None]) -> None:
        self._context._jobs.properties.replace(self._properties)
        try:
            while not (self._closing and not self._waiting and not self._alone and not self._batches):
                try:
                    self._round()
                except BaseException as error:  # else futures would wait for ever
                    log.exception("calls cannot be dispatched any more")
                    self._break(error)
        finally:
            on_end()

    def _round(self) -> None:
        try:
            self._take(self._inbox.get(timeout=LIVENESS_CHECK if self._batches else None))
            with suppress(Empty):
                while True:
                    self._take(self._inbox.get_nowait())
        except Empty:
            self._check_context()
        self._hand_out()

    def _check_context(self) -> None:
        try:
            self._context._cluster.check_usable()
        except (ContextError, ClusterError) as gone:
            self._break(gone)

    def _take(self, item: Call | Batch | Order) -> None:
        if isinstance(item, Call):
            self._waiting.append(item)
        elif isinstance(item, Batch):
            self._collect(item)
        else:
            item()

    def _hand_out(self) -> None:
        if self.broken is not None:
            self._end_all(self.broken)
        while self._alone:
            self._start([self._alone.popleft()])
        if not self._waiting:
            return
        room = self._room()
        chosen: list[Call] = []
        while self._waiting and len(chosen) < room:
            call = self._waiting.popleft()
            if call.future.set_running_or_notify_cancel():
                chosen.append(call)
        if chosen:
            self._start(chosen)

    def _room(self) -> int:
        """How many more calls to hand out: too few let executors wait for work, and of those handed out none can be
        cancelled any more. None before half of the last are done, since one job of many calls costs a tenth of many.
        """
        handed_out = sum(len(batch.unsettled) for batch in self._batches)
        slots = self._context._cluster.slots
        if self._width is not None and self._width < slots:
            return self._width - handed_out
        short = 0 if self._mean_time is None else int(slots * AHEAD / max(self._mean_time, 1e-6))
        most = slots + max(slots, min(short, MAX_AHEAD))
        return most - handed_out if handed_out <= most // 2 else 0

    def _start(self, calls: list[Call]) -> None:
        batch = Batch(calls)
        self._batches.add(batch)
        try:
            rdd = ParallelCollectionRDD[bytes](self._context, [call.data for call in calls])
            settle, told = partial(self._settle, batch), partial(self._inbox.put, batch)
            batch.job = self._context._jobs.plan_calls(rdd, self._action, self._name, settle, told)
            batch.job.start()
        except Exception as error:
            self._failed(batch, error)

    def _collect(self, batch: Batch) -> None:
        if batch not in self._batches or batch.job is None:
            return
        try:
            if batch.job.collect(0):
                self._forget(batch)
        except Exception as error:
            self._failed(batch, error)

    def _settle(self, batch: Batch, position: int, outcome: Outcome) -> None:
        call = batch.unsettled.pop(position)
        if isinstance(outcome, Raised) and outcome.of_initializer:
            self._break(outcome.exception(), "the initializer raised an exception in an executor")
            _settle(partial(call.future.set_exception, self.broken))
            return
        mean = self._mean_time
        self._mean_time = outcome.seconds if mean is None else 0.8 * mean + 0.2 * outcome.seconds
        _settle(partial(outcome.settle, call.future))

    def _failed(self, batch: Batch, error: Exception) -> None:
        """A job failed, and with it all calls that had not ended: one of them has ended its executors, or returned too
        much. Which one shows when each is alone.
        """
        self._forget(batch)
        calls = list(batch.unsettled.values())
        self._check_context()
        if self.broken is None and len(calls) > 1 and _is_of_one_call(error):
            self._alone.extend(calls)
            return
        for call in calls:
            _settle(partial(call.future.set_exception, self.broken or error))

    def _forget(self, batch: Batch) -> None:
        """A job has ended. It knows its batch: without a cut, data would wait for the collector."""
        self._batches.discard(batch)
        batch.job = None

    # --- ends ---

    def _close(self, cancel: bool) -> None:
        self._closing = True
        if cancel:
            self._cancel_waiting()

    def _cancel_waiting(self) -> None:
        while self._waiting:
            call = self._waiting.popleft()
            if call.future.cancel():
                call.future.set_running_or_notify_cancel()

    def _abandon(self) -> None:
        self._cancel_waiting()
        self._end_all(JobCancelledError("the call was abandoned"))

    def _break(self, cause: BaseException, text: str | None = None) -> None:
        if self.broken is None:
            self.broken = BrokenExecutor(text or f"no call can be made any more: {cause}")
            self.broken.__cause__ = cause

    def _end_all(self, error: BaseException) -> None:
        """End all calls with an error, those that run too."""
        calls = [*self._alone, *(call for call in self._waiting if call.future.set_running_or_notify_cancel())]
        self._alone.clear()
        self._waiting.clear()
        for batch in list(self._batches):
            calls += batch.unsettled.values()
            if batch.job is not None:
                batch.job.abandon()
            self._forget(batch)
        for call in calls:
            _settle(partial(call.future.set_exception, error))


def _is_of_one_call(error: Exception) -> bool:
    return isinstance(error, JobError) and not isinstance(error, JobCancelledError)


def _settle(settle: Callable[[], None]) -> None:
    """Callbacks of the program run meanwhile, and may raise anything."""
    try:
        settle()
    except BaseException:
        log.exception("a future could not be settled, or one of its callbacks failed")
