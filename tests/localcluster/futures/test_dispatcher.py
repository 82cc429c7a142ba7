"""The thread that makes jobs of calls, with jobs that the test ends: which calls go together, and what becomes of
futures when something ends otherwise than it should.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, wait
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.conf.job_properties import JobProperties
from localcluster.futures.dispatcher import Call, Dispatcher
from localcluster.futures.outcome import Raised, Returned
from localcluster.futures.remote_call import RemoteCall
from protocol.errors import ClusterError, JobCancelledError, JobError, TaskError
from tests.support import DEADLINE

SLOW = 1.0  # seconds that a call took, by its own account


class FakeJob:
    """A job that was planned; the test says what comes of it."""

    def __init__(self, calls: int, on_result: Callable[[int, Any], None], told: Callable[[], object]) -> None:
        self.calls = calls
        self.properties: dict[str, str] = {}
        self.abandoned = False
        self._on_result, self._told = on_result, told
        self._events: SimpleQueue[Callable[[], bool]] = SimpleQueue()
        self._ended = 0

    def start(self) -> None: ...

    def collect(self, seconds: float) -> bool:
        assert seconds == 0
        ended = False
        while not self._events.empty():
            ended = self._events.get()()
        return ended

    def abandon(self) -> None:
        self.abandoned = True

    def _deliver(self, event: Callable[[], bool]) -> None:
        self._events.put(event)
        self._told()

    def end_call(self, position: int, outcome: Any = None, seconds: float = SLOW) -> None:
        self._ended += 1
        is_last = self._ended == self.calls

        def result() -> bool:
            self._on_result(position, outcome or Returned(pickle.dumps(position), (), seconds))
            return is_last

        self._deliver(result)

    def fail(self, error: Exception) -> None:
        def end() -> bool:
            raise error

        self._deliver(end)


class FakeContext:
    """As much of a context as the dispatcher asks for."""

    def __init__(self, slots: int) -> None:
        self.planned: SimpleQueue[FakeJob] = SimpleQueue()
        self.error: Exception | None = None
        self._jobs = SimpleNamespace(properties=JobProperties(), plan_calls=self._plan)
        self._cluster = SimpleNamespace(slots=slots, check_usable=self._check)
        self._next_rdd_id = int

    def job(self) -> FakeJob:
        return self.planned.get(timeout=DEADLINE)

    def _plan(self, rdd: Any, func: Any, name: str, on_result: Any, told: Any) -> FakeJob:
        job = FakeJob(rdd.getNumPartitions(), on_result, told)
        job.properties = self._jobs.properties.copy()
        self.planned.put(job)
        return job

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class Calls:
    def __init__(self, slots: int = 2, width: int | None = None) -> None:
        self.context: Any = FakeContext(slots)
        self.context._jobs.properties.set("spark.scheduler.pool", "calls")
        self.dispatcher = Dispatcher(self.context, width, "calls", RemoteCall(None))
        self.ended: SimpleQueue[None] = SimpleQueue()
        self.job: Callable[[], FakeJob] = self.context.job

    def start(self) -> None:
        self.dispatcher.start(lambda: self.ended.put(None))

    def put(self, number: int) -> list[Future[Any]]:
        futures: list[Future[Any]] = [Future() for _ in range(number)]
        for future in futures:
            self.dispatcher.put(Call(future, SimpleNamespace(), ()))  # type: ignore[arg-type]
        return futures

    def wait_until_idle(self) -> None:
        """Until the thread has taken all that was put so far."""
        came: SimpleQueue[None] = SimpleQueue()
        self.dispatcher._inbox.put(lambda: came.put(None))
        came.get(timeout=DEADLINE)
        self.dispatcher._inbox.put(lambda: came.put(None))  # the round of the first is over then
        came.get(timeout=DEADLINE)


@pytest.fixture
def calls() -> Iterator[Calls]:
    calls = Calls()
    yield calls
    calls.context.error = ClusterError("the test is over")
    calls.dispatcher.abandon()
    calls.dispatcher.close()
    calls.dispatcher.thread.join(DEADLINE)
    assert not calls.dispatcher.thread.is_alive()


def results(futures: list[Future[Any]]) -> list[Any]:
    return [future.result(DEADLINE) for future in futures]


def errors(futures: list[Future[Any]]) -> list[type]:
    return [type(future.exception(DEADLINE)) for future in futures]


# --- handing out ---


def test_calls_that_wait_go_out_together_and_no_more_than_keep_executors_busy(calls: Calls) -> None:
    futures = calls.put(10)
    calls.start()
    job = calls.job()
    assert job.calls == 4, "one for each core, and the next"
    job.end_call(0)
    calls.wait_until_idle()
    assert calls.context.planned.empty(), "both cores are busy, and there is a next one"
    job.end_call(1)
    assert calls.job().calls == 2
    assert results(futures[:2]) == [0, 1]
    calls.wait_until_idle()
    assert calls.context.planned.empty()
    assert not any(future.done() for future in futures[2:])


def test_many_short_calls_go_out_at_once(calls: Calls) -> None:
    calls.start()
    calls.put(1)
    calls.job().end_call(0, seconds=1e-5)
    calls.wait_until_idle()
    calls.put(100)
    handed_out = 0
    while handed_out < 100:
        handed_out += calls.job().calls


def test_no_more_calls_run_at_once_than_the_program_wants() -> None:
    calls = Calls(slots=4, width=2)
    calls.start()
    futures = calls.put(3)
    first = [calls.job()]
    if first[0].calls == 1:
        first.append(calls.job())
    calls.wait_until_idle()
    assert calls.context.planned.empty()
    first[0].end_call(0)
    assert calls.job().calls == 1
    calls.dispatcher.abandon()
    calls.dispatcher.close()
    calls.dispatcher.thread.join(DEADLINE)
    assert futures[0].result() == 0


def test_jobs_have_the_properties_of_the_thread_that_made_the_executor(calls: Calls) -> None:
    calls.start()
    calls.put(1)
    assert calls.job().properties == {"spark.scheduler.pool": "calls"}


def test_a_callback_that_raises_harms_nobody(calls: Calls) -> None:
    (future,) = calls.put(1)
    future.add_done_callback(lambda _: exit(3))
    calls.start()
    calls.job().end_call(0)
    assert results(calls.put(1) and [future]) == [0]
    job = calls.job()
    job.end_call(0)


# --- cancelling ---


def test_a_call_that_waits_can_be_cancelled_and_one_that_runs_cannot(calls: Calls) -> None:
    futures = calls.put(6)
    calls.start()
    job = calls.job()
    assert job.calls == 4
    assert not futures[0].cancel()
    assert futures[4].cancel()
    for position in range(4):
        job.end_call(position)
    assert calls.job().calls == 1, "the last; the cancelled one is not made"
    assert wait([futures[4]], DEADLINE).done


def test_closing_may_cancel_what_waits(calls: Calls) -> None:
    futures = calls.put(6)
    calls.start()
    job = calls.job()
    calls.dispatcher.close(cancel=True)
    calls.wait_until_idle()
    assert [future.cancelled() for future in futures] == [False] * 4 + [True] * 2
    for position in range(4):
        job.end_call(position)
    assert calls.ended.get(timeout=DEADLINE) is None
    assert results(futures[:4]) == [0, 1, 2, 3]
    with pytest.raises(CancelledError):
        futures[4].result()


def test_closing_waits_for_all_calls_otherwise(calls: Calls) -> None:
    futures = calls.put(5)
    calls.start()
    calls.dispatcher.close()
    job = calls.job()
    for position in range(4):
        job.end_call(position)
    calls.job().end_call(0)
    assert calls.ended.get(timeout=DEADLINE) is None
    assert results(futures) == [0, 1, 2, 3, 0]


def test_abandoned_calls_are_cancelled_also_when_they_run(calls: Calls) -> None:
    futures = calls.put(6)
    calls.start()
    job = calls.job()
    calls.dispatcher.abandon()
    assert errors(futures[:4]) == [JobCancelledError] * 4
    calls.wait_until_idle()
    assert job.abandoned
    assert all(future.cancelled() for future in futures[4:])
    (future,) = calls.put(1)
    calls.job().end_call(0)
    assert future.result(DEADLINE) == 0


# --- ends ---


def test_when_a_job_fails_its_other_calls_are_made_again_each_alone(calls: Calls) -> None:
    futures = calls.put(4)
    calls.start()
    job = calls.job()
    job.end_call(2)
    job.fail(TaskError("an executor died, four times"))
    alone = [calls.job() for _ in range(3)]
    assert [each.calls for each in alone] == [1, 1, 1]
    alone[0].end_call(0)
    alone[1].fail(TaskError("died again"))
    alone[2].end_call(0)
    assert [type(future.exception(DEADLINE)) for future in futures] == [type(None), TaskError, type(None), type(None)]


def test_a_single_call_whose_job_fails_has_that_error(calls: Calls) -> None:
    (future,) = calls.put(1)
    calls.start()
    calls.job().fail(JobError("the result is too large"))
    assert errors([future]) == [JobError]


def test_calls_of_a_cancelled_job_are_not_made_again(calls: Calls) -> None:
    futures = calls.put(3)
    calls.start()
    calls.job().fail(JobCancelledError("by cancelAllJobs"))
    assert errors(futures) == [JobCancelledError] * 3


def test_all_futures_end_when_the_context_does(calls: Calls) -> None:
    futures = calls.put(6)
    calls.start()
    job = calls.job()
    calls.context.error = ClusterError("the launcher is gone")
    job.fail(JobCancelledError("because SparkContext was shut down"))
    assert errors(futures) == [BrokenExecutor] * 6
    assert "the launcher is gone" in str(futures[0].exception())
    assert errors(calls.put(1)) == [BrokenExecutor], "also of calls that came too late"


def test_a_context_that_ends_without_a_word_is_noticed(calls: Calls) -> None:
    futures = calls.put(1)
    calls.start()
    calls.job()
    calls.context.error = ClusterError("the driver's event loop is not running")
    assert errors(futures) == [BrokenExecutor]


def test_an_initializer_that_raises_breaks_the_executor(calls: Calls) -> None:
    futures = calls.put(6)
    calls.start()
    job = calls.job()
    job.end_call(0, Raised("LookupError", pickle.dumps(LookupError("no model")), "traceback", 0.0, of_initializer=True))
    assert errors(futures) == [BrokenExecutor] * 6
    assert repr(futures[5].exception().__cause__) == "LookupError('no model')"  # type: ignore[union-attr]
    calls.wait_until_idle()
    assert job.abandoned


def test_a_fault_in_planning_ends_the_calls_concerned(calls: Calls) -> None:
    def refuse(*_: object) -> None:
        raise RecursionError("too deep")

    calls.context._jobs.plan_calls = refuse
    futures = calls.put(2)
    calls.start()
    assert errors(futures) == [RecursionError] * 2
