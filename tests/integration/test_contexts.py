"""`SparkContext` as an object: how it is made, what it says of itself, and how it ends."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.driver import job_runner
from localcluster.errors import ConfigurationError, ContextError, JobError, PySparkAttributeError
from protocol.block_messages import GetMemoryStatus
from protocol.errors import StorageError

BIG = "x" * 700_000


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    conf = SparkConf().set("spark.driver.maxResultSize", "1m").set("spark.executorEnv.FROM_CONF", "1")
    with SparkContext("local[2]", "demo", "/opt/spark", environment={"GIVEN": 2}, batchSize=10, conf=conf) as context:
        yield context


def test_a_context_says_what_it_is(sc: SparkContext) -> None:
    assert repr(sc) == "<SparkContext master=local[2] appName=demo>"
    assert (sc.master, sc.appName, sc.sparkHome) == ("local[2]", "demo", "/opt/spark")
    assert (sc.defaultParallelism, sc.defaultMinPartitions) == (2, 2)
    assert sc.applicationId.startswith("local-")
    assert sc.startTime > 0
    assert sc.resources == {}
    assert sc.environment == {"FROM_CONF": "1", "GIVEN": "2", "PYTHONHASHSEED": sc.environment["PYTHONHASHSEED"]}
    assert sc.pythonVer == "{}.{}".format(*sys.version_info)
    assert os.path.samefile(sc.pythonExec, sys.executable)
    assert sc._batchSize == 10
    assert sc._callsite.function == "__init__"
    assert sc._callsite.file == __file__
    assert os.listdir(sc._temp_dir) == []
    assert SparkContext._active_spark_context is sc
    for text in ("local[2]", "demo", sc.version):
        assert text in sc._repr_html_()


def test_the_user_is_this_processs_or_that_of_the_environment(
    sc: SparkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARK_USER", raising=False)
    assert sc.sparkUser() == SparkContext.getSystemProperty("user.name")
    monkeypatch.setenv("SPARK_USER", "somebody")
    assert sc.sparkUser() == "somebody"


def test_settings_are_a_copy_with_what_spark_adds(sc: SparkContext) -> None:
    conf = sc.getConf()
    assert conf.get("spark.app.id") == sc.applicationId
    assert conf.get("spark.app.startTime") == str(sc.startTime)
    assert conf.get("spark.executor.id") == "driver"
    conf.set("spark.app.name", "changed")
    assert sc.getConf().get("spark.app.name") == "demo"


@pytest.mark.parametrize("name", ["_jvm", "_jsc", "_gateway"])
def test_there_is_no_jvm_behind_a_context(sc: SparkContext, name: str) -> None:
    for owner in (sc, SparkContext):
        assert not hasattr(owner, name)
        with pytest.raises(PySparkAttributeError, match=f"Attribute `{name}` is not supported") as caught:
            getattr(owner, name)
        assert caught.value.getCondition() == "JVM_ATTRIBUTE_NOT_SUPPORTED"


def test_executors_have_the_environment_that_they_were_given(sc: SparkContext) -> None:
    names = ["GIVEN", "FROM_CONF"]
    found = sc.parallelize(range(2), 2).map(lambda _: [os.environ.get(name) for name in names]).collect()
    assert found == [["2", "1"]] * 2


def test_a_second_context_is_refused_and_says_where_the_first_came_from(sc: SparkContext) -> None:
    with pytest.raises(ValueError, match="Cannot run multiple SparkContexts at once") as caught:
        SparkContext("local", "other")
    site = sc._callsite
    where = f"SparkContext(app=demo, master=local[2]) created by __init__ at {site.file}:{site.linenum}"
    assert where in str(caught.value)
    assert SparkContext.getOrCreate(SparkConf().set("spark.x", "1")) is sc
    assert sc.getConf().get("spark.x") is None


def test_a_context_cannot_be_pickled(sc: SparkContext) -> None:
    with pytest.raises(ContextError, match="CONTEXT_ONLY_VALID_ON_DRIVER"):
        pickle.dumps(sc)


def test_log_levels_are_sparks(sc: SparkContext, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level("INFO", "localcluster"),
        caplog.at_level("INFO", "storage"),
        caplog.at_level("INFO", "protocol"),
    ):
        sc.setLogLevel("warn")
        assert logging.getLogger("localcluster").level == logging.getLogger("storage").level == logging.WARNING
        with pytest.raises(ConfigurationError, match="Supplied level LOUD did not match one of: ALL,DEBUG,ERROR"):
            sc.setLogLevel("LOUD")


def test_no_context_is_made_in_a_task_unless_its_conf_says_so(sc: SparkContext) -> None:
    def refused(_: int) -> str:
        try:
            SparkContext("local", "inner")
        except RuntimeError as error:
            return str(error)
        return "made"

    def allowed(number: int) -> Any:
        conf = SparkConf().set("spark.executor.allowSparkContext", "true").setMaster("local[1]")
        with SparkContext(conf=conf) as inner:
            return inner.parallelize(range(number), 2).sum()

    assert "CONTEXT_ONLY_VALID_ON_DRIVER" in sc.parallelize([1], 1).map(refused).first()
    shared = sc.broadcast(list(range(50_000)))
    assert sc.parallelize([10, 20], 2).map(allowed).collect() == [45, 190]
    # The executors have their own block managers back.
    assert sc.parallelize(range(2), 2).map(lambda _: len(shared.value)).collect() == [50_000] * 2


def test_results_larger_than_the_driver_may_get_fail_their_job_alone(sc: SparkContext) -> None:
    with pytest.raises(JobError) as caught:
        sc.parallelize(range(4), 4).map(lambda _: BIG).collect()
    assert "Total size of serialized results of 2 tasks (1367." in str(caught.value)
    assert "is bigger than spark.driver.maxResultSize (1024.0 KiB)" in str(caught.value)
    assert sc.parallelize(range(4), 4).map(lambda i: (i, BIG)).groupByKey().count() == 4, (
        "shuffled data are not results"
    )
    assert sc.parallelize(range(4), 4).map(lambda _: BIG[:200_000]).count() == 4
    statistics = sc.statistics()
    assert (statistics.jobs.running, statistics.stages.running, statistics.stages.waiting) == (0, 0, 0)


# --- contexts of their own -------------------------------------------------------------------------------------------


@pytest.fixture
def no_context(sc: SparkContext) -> None:
    """The module's context ends before the first of these tests; it has no use for the others."""
    sc.stop()


@pytest.mark.usefixtures("no_context")
def test_a_stopped_context_may_be_stopped_again_and_cannot_be_used(sc: SparkContext) -> None:
    sc.stop()
    assert SparkContext._active_spark_context is None
    for use in (lambda: sc.parallelize([1]).count(), lambda: sc.broadcast(1)):
        with pytest.raises(ContextError, match="Cannot call methods on a stopped SparkContext"):
            use()
    assert sc.appName == "demo"
    assert not os.path.exists(sc._temp_dir)


@pytest.mark.usefixtures("no_context")
@pytest.mark.parametrize(
    "arguments",
    [
        {"master": "spark://host:7077"},
        {"pyFiles": ["/no/such/file.py"]},
        {"gateway": object()},
        {"jsc": object()},
        {"conf": SparkConf(False).set("spark.executor.memory", "1")},
    ],
)
def test_a_context_that_cannot_be_made_leaves_none_active(arguments: dict[str, Any]) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever
        SparkContext(**arguments)
    assert SparkContext._active_spark_context is None


@pytest.mark.usefixtures("no_context")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_context_that_fails_half_way_leaves_nothing(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def fail(*arguments: Any, **others: Any) -> None:
        assert list(tmp_path.glob("localcluster-*")), "the cluster was there"
        raise error("half way")

    with monkeypatch.context() as patch:
        patch.setattr(job_runner, "JobRunner", fail)
        with pytest.raises(error, match="half way"):
            SparkContext("local[1]", "half")
    assert SparkContext._active_spark_context is None
    assert list(tmp_path.glob("localcluster-*")) == []
    with SparkContext("local[1]", "whole") as context:
        assert context.parallelize(range(3)).sum() == 3


@pytest.mark.usefixtures("no_context")
def test_a_context_can_be_made_and_used_by_another_thread() -> None:
    answers = []

    def work() -> None:
        with SparkContext("local", "thread") as context:
            answers.append(context.parallelize(range(5), 2).sum())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert answers == [10]


@pytest.mark.usefixtures("no_context")
def test_several_threads_may_stop_a_context(caplog: pytest.LogCaptureFixture) -> None:
    context = SparkContext("local[1]", "stopped")
    scratch = context._cluster.scratch.primary
    gone = []

    def stop() -> None:
        context.stop()
        gone.append(not os.path.exists(scratch))

    threads = [threading.Thread(target=stop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert gone == [True] * 4
    assert not caplog.records, "the cluster ended in good order"


@pytest.mark.usefixtures("no_context")
def test_the_numbers_of_accumulators_go_on_from_context_to_context() -> None:
    numbers = []
    for _ in range(2):
        with SparkContext("local", "accumulators") as context:
            numbers.append(context.accumulator(0).aid)
    assert numbers[1] == numbers[0] + 1 == SparkContext._next_accum_id - 1


@pytest.mark.usefixtures("no_context")
def test_after_the_stop_of_a_context_nobody_asks_the_block_master(caplog: pytest.LogCaptureFixture) -> None:
    with SparkContext("local[2]", "stops") as context:
        shared, tracker = context.broadcast([1]), context.statusTracker()
        cached = context.parallelize(range(10), 2).map(lambda x: (x, x)).reduceByKey(add).cache()
        assert cached.count() == 10
        assert sum(info.totalOnHeapStorageMemory > 0 for info in tracker.getExecutorInfos()) == 3
    with pytest.raises(StorageError, match=r"the block master has stopped; GetMemoryStatus of driver comes too late"):
        context._cluster.master.ask(GetMemoryStatus())
    assert tracker.getExecutorInfos() == []
    cached.unpersist(blocking=True)
    cached.cleanShuffleDependencies(blocking=True)
    shared.unpersist(blocking=True)
    shared.destroy(blocking=True)
    del cached, shared
    gc.collect()
    assert caplog.records == []


@pytest.mark.usefixtures("no_context")
def test_without_master_and_name_a_context_says_what_it_has() -> None:
    with SparkContext(conf=SparkConf(False).set("spark.executor.instances", "1")) as context:
        assert context.master == context.getConf().get("spark.master") == "local[1]"
        assert context.appName == context.getConf().get("spark.app.name") == "localcluster"


@pytest.mark.usefixtures("no_context")
def test_tasks_of_two_cpus_halve_the_number_of_tasks_at_once() -> None:
    conf = SparkConf().setMaster("local[2]").set("spark.task.cpus", "2")
    with SparkContext(conf=conf) as context:
        assert context.defaultParallelism == 2
        seen = context.parallelize(range(4), 4).map(lambda _: (os.getpid(), TaskContext.get().cpus())).collect()
        assert len(set(seen)) == 1
        assert seen[0][1] == 2
