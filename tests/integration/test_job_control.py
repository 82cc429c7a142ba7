"""Watching, labelling and cancelling jobs from threads, on real executors."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from localcluster import InheritableThread, SparkContext, inheritable_thread_target
from localcluster.scheduler.stage import JobEnd
from protocol.errors import JobCancelledError, PySparkTypeError
from protocol.sql_errors import IllegalArgumentException
from tests.support import DEADLINE, InThread, wait_until


class Sleepers:
    """A job, in a thread of its own, of tasks that end only when ``gate`` is there or they are killed."""

    def __init__(self, sc: SparkContext, directory: Path, prepare: Callable[[], None], partitions: int = 2) -> None:
        self.gate, self.started = directory / "gate", directory / "started"
        directory.mkdir(exist_ok=True)
        self._sc, self._prepare, self._partitions = sc, prepare, partitions
        self.wait = InThread(self._run).outcome

    def _run(self) -> list[int]:
        self._prepare()
        gate, started = self.gate, self.started

        def wait(x: int) -> int:
            started.touch()
            wait_until(gate.exists)
            return x

        return self._sc.parallelize(range(self._partitions), self._partitions).map(wait).collect()


def in_thread(body: Callable[[], Any], kind: type[threading.Thread] = threading.Thread) -> Any:
    """What ``body`` gives in a thread of its own."""
    results: list[Any] = []
    thread = kind(target=lambda: results.append(body()))
    thread.start()
    thread.join(DEADLINE)
    return results[0]


@pytest.fixture
def unlabelled(sc: SparkContext) -> Iterator[SparkContext]:
    yield sc
    sc._jobs.properties.replace({})


# --- local properties and threads ---


def test_an_ordinary_thread_has_no_properties_of_its_starter(unlabelled: SparkContext) -> None:
    unlabelled.setLocalProperty("tested", "yes")
    assert in_thread(lambda: unlabelled.getLocalProperty("tested")) is None


def test_an_inheritable_thread_has_those_of_its_start(unlabelled: SparkContext) -> None:
    sc, seen = unlabelled, []
    thread = InheritableThread(target=lambda: seen.append((sc.getLocalProperty("tested"), sc.getJobTags())), name="x")
    assert thread.name == "x"
    sc.setLocalProperty("tested", "yes")
    sc.addJobTag("tag")
    thread.start()
    sc.setLocalProperty("tested", "later")
    thread.join(DEADLINE)
    assert seen == [("yes", {"tag"})]


def test_properties_set_in_an_inheritable_thread_are_its_own(unlabelled: SparkContext) -> None:
    in_thread(lambda: unlabelled.setLocalProperty("tested", "child"), InheritableThread)
    assert unlabelled.getLocalProperty("tested") is None


def test_a_wrapped_target_has_the_properties_of_its_wrapping(unlabelled: SparkContext) -> None:
    sc = unlabelled
    sc.setLocalProperty("tested", "wrapped")
    with pytest.warns(UserWarning, match="Tags will not be inherited"):
        wrapped = inheritable_thread_target(lambda: sc.getLocalProperty("tested"))
    sc.setLocalProperty("tested", "later")
    assert in_thread(wrapped) == "wrapped"
    assert in_thread(wrapped) == "wrapped"


def test_a_session_makes_a_decorator(unlabelled: SparkContext) -> None:
    class Session:
        sparkContext = unlabelled

    unlabelled.setLocalProperty("tested", "wrapped")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decorate = inheritable_thread_target(Session())
    assert in_thread(decorate(lambda: unlabelled.getLocalProperty("tested"))) == "wrapped"


def test_only_a_function_or_a_session_can_be_a_target(sc: SparkContext) -> None:
    with pytest.raises(AssertionError):
        inheritable_thread_target(5)


# --- groups and tags ---


def test_a_group_is_three_properties(unlabelled: SparkContext) -> None:
    sc = unlabelled
    sc.setJobGroup("group", "what it does", True)
    names = "spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel"
    assert [sc.getLocalProperty(name) for name in names] == ["group", "what it does", "true"]
    sc.setInterruptOnCancel(False)
    sc.setJobDescription("another thing")
    assert [sc.getLocalProperty(name) for name in names] == ["group", "another thing", "false"]


def test_tags_are_added_and_removed(unlabelled: SparkContext) -> None:
    sc = unlabelled
    assert sc.getJobTags() == set()
    for tag in ("b", "a", "b"):
        sc.addJobTag(tag)
    assert sc.getJobTags() == {"a", "b"}
    assert sc.getLocalProperty("spark.job.tags") == "b,a"
    sc.removeJobTag("b")
    sc.removeJobTag("never added")
    assert sc.getJobTags() == {"a"}
    sc.clearJobTags()
    assert sc.getJobTags() == set()
    assert sc.getLocalProperty("spark.job.tags") is None


@pytest.mark.parametrize("method", ["addJobTag", "removeJobTag", "cancelJobsWithTag"])
def test_what_cannot_be_a_tag_is_refused(sc: SparkContext, method: str) -> None:
    for tag, why in (("", "an empty string"), ("a,b", "contain ','"), (None, "null")):
        with pytest.raises(IllegalArgumentException, match=f"Spark job tag cannot (be )?{why}"):
            getattr(sc, method)(tag)
    with pytest.raises(PySparkTypeError):
        getattr(sc, method)(5)


@pytest.mark.parametrize(
    ("prepare", "cancel", "reason"),
    [
        (lambda sc: sc.setJobGroup("g", ""), lambda sc: sc.cancelJobGroup("g"), "part of cancelled job group g"),
        (lambda sc: sc.addJobTag("t"), lambda sc: sc.cancelJobsWithTag("t"), "part of cancelled job tags t"),
        (lambda sc: None, lambda sc: sc.cancelAllJobs(), "as part of cancellation of all jobs"),
    ],
)
def test_running_jobs_are_cancelled_in_sparks_words(
    sc: SparkContext, tmp_path: Path, prepare: Any, cancel: Any, reason: str
) -> None:
    job = Sleepers(sc, tmp_path, lambda: prepare(sc))
    wait_until(job.started.exists)
    number = sc.statusTracker().getActiveJobsIds()[0]
    cancel(sc)
    error = job.wait()
    assert str(error) == f"[SPARK_JOB_CANCELLED] Job {number} cancelled {reason}"
    assert error.getCondition() == "SPARK_JOB_CANCELLED"
    assert sc.parallelize(range(10), 3).sum() == 45


def test_only_the_jobs_with_the_tag_are_cancelled(sc: SparkContext, tmp_path: Path) -> None:
    spared = Sleepers(sc, tmp_path / "spared", lambda: sc.addJobTag("other"), partitions=1)
    wait_until(spared.started.exists)
    victim = Sleepers(sc, tmp_path / "victim", lambda: (sc.addJobTag("one"), sc.addJobTag("two")), partitions=1)
    wait_until(victim.started.exists)
    sc.cancelJobsWithTag("two")
    assert isinstance(victim.wait(), JobCancelledError)
    spared.gate.touch()
    assert spared.wait() == [0]


def test_a_queued_job_can_be_cancelled(sc: SparkContext, tmp_path: Path) -> None:
    running = Sleepers(sc, tmp_path / "running", lambda: None)
    wait_until(running.started.exists)
    queued = Sleepers(sc, tmp_path / "queued", lambda: sc.setJobGroup("queued", ""))
    wait_until(lambda: bool(sc.statusTracker().getJobIdsForGroup("queued")))
    sc.cancelJobGroup("queued")
    assert isinstance(queued.wait(), JobCancelledError)
    assert not queued.started.exists()
    running.gate.touch()
    assert running.wait() == [0, 1]


def test_a_group_can_be_collected_with(unlabelled: SparkContext) -> None:
    with pytest.warns(FutureWarning, match="Deprecated in 3.1"):
        assert unlabelled.parallelize(range(3), 2).collectWithJobGroup("collected", "described") == [0, 1, 2]
    (number,) = unlabelled.statusTracker().getJobIdsForGroup("collected")
    assert unlabelled.statusTracker().getJobInfo(number).status == "SUCCEEDED"


def test_what_a_job_cannot_be_made_of_is_refused_at_the_call(sc: SparkContext) -> None:
    with pytest.raises(PySparkTypeError, match="partitionFunc of runJob must be a function, not NoneType"):
        sc.runJob(sc.range(3), None)  # type: ignore[arg-type]
    with pytest.raises(PySparkTypeError, match="rdd of runJob must be an RDD, not range"):
        sc.runJob(range(3), list)  # type: ignore[arg-type]


def test_the_driver_outlives_a_job_whose_results_are_refused(sc: SparkContext) -> None:
    ends: SimpleQueue[tuple[Any, str]] = SimpleQueue()

    def refuse(event: Any) -> None:
        if not isinstance(event, JobEnd):
            raise OSError("no room for results")
        ends.put((event.error, threading.current_thread().name))

    job = sc._jobs.plan(sc.parallelize([1], 1), lambda _, records: list(records), [0], lambda position, value: None)
    job._job.deliver = refuse
    job.start()
    error, thread = ends.get(timeout=DEADLINE)
    assert (str(error), thread) == ("no room for results", "localcluster-driver")
    assert sc.parallelize([1], 1).collect() == [1]
