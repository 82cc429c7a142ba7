"""Contexts with a serializer, profilers and memory of the program's choice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localcluster import SparkConf, SparkContext
from localcluster.serializers import BatchedSerializer, MarshalSerializer
from localcluster.task.profiler import BasicProfiler
from protocol.errors import PySparkRuntimeError, TaskError


@contextmanager
def context(*, settings: dict[str, str] | None = None, **options: Any) -> Iterator[SparkContext]:
    conf = SparkConf().setAll(list({"localcluster.sharedMemory": "64m", **(settings or {})}.items()))
    with SparkContext("local[2]", "options", conf=conf, **options) as sc:
        yield sc


class Thing:
    """Nothing that marshal knows."""


def heavy(x: int) -> int:
    return sum(range(x))


# --- profiling -----------------------------------------------------------------------------------------------------


class Short(BasicProfiler):
    def show(self, id: int) -> None:
        print(f"short profile of {id}")


def test_jobs_are_profiled_by_rdd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with context(settings={"spark.python.profile": "true"}) as sc:
        assert sc.profiler_collector is not None
        rdd = sc.parallelize([1, 2, 3, 4], 2).map(lambda x: heavy(x))
        line = sys._getframe().f_lineno - 1
        assert (rdd.sum(), rdd.count()) == (10, 4)
        assert sc.parallelize([(1, 10), (2, 20)], 2).mapValues(heavy).reduceByKey(max).count() == 2
        jobs = {id: profiler.stats() for id, profiler, _ in sc.profiler_collector.profilers}
        counts = {id: sum(e[1] for key, e in stats.stats.items() if key[2] == "heavy") for id, stats in jobs.items()}
        assert rdd.id() in counts
        if sys.version_info < (3, 12):  # later, cProfile mixes up the threads of an executor now and then
            assert counts[rdd.id()] == 8  # both jobs
            assert sorted(counts.values()) == [0, 2, 8]  # the reducers called none
        sc.show_profiles()
        shown = capsys.readouterr().out
        assert shown.count("Profile of RDD<id=") == 3
        assert "(heavy)" in shown
        assert f"{os.path.basename(__file__)}:{line}(<lambda>)" in shown
        sc.show_profiles()
        assert capsys.readouterr().out == ""
        sc.dump_profiles(str(tmp_path))
        assert sorted(os.listdir(tmp_path)) == sorted(f"rdd_{id}.pstats" for id in jobs)
        assert sc.profiler_collector.profilers == []  # so that nothing is printed when the interpreter ends


def test_profilers_of_the_programs_own_are_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with context(settings={"spark.python.profile": "true"}, profiler_cls=Short) as sc:
        assert sc.parallelize([1, 2], 2).map(heavy).sum() == 1
        sc.show_profiles()
        assert capsys.readouterr().out.startswith("short profile of ")
        sc.dump_profiles(str(tmp_path))


AT_EXIT = """
from localcluster import SparkConf, SparkContext
conf = SparkConf().set("spark.python.profile", "true").set("localcluster.sharedMemory", "16m")
{set_dump}
sc = SparkContext("local[1]", "profiled", conf=conf)
sc.parallelize([1, 2], 1).map(str).count()
"""


def test_profiles_nobody_asked_for_are_printed_at_exit() -> None:
    assert "Profile of RDD<id=" in run(AT_EXIT.format(set_dump=""))


def test_profiles_are_dumped_at_exit_into_the_directory_that_is_set(tmp_path: Path) -> None:
    set_dump = f"conf.set('spark.python.profile.dump', {str(tmp_path / 'profiles')!r})"
    assert run(AT_EXIT.format(set_dump=set_dump)) == ""
    assert [name.endswith(".pstats") for name in os.listdir(tmp_path / "profiles")] == [True]


def run(program: str) -> str:
    """What a program prints, in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return done.stdout


def test_without_the_setting_there_are_no_profiles() -> None:
    with context() as sc:
        assert sc.profiler_collector is None
        for use in (sc.show_profiles, lambda: sc.dump_profiles("nowhere")):
            with pytest.raises(PySparkRuntimeError, match=r"\[INCORRECT_CONF_FOR_PROFILE\].*must be set to `true`"):
                use()


# --- serializers ---------------------------------------------------------------------------------------------------


def test_a_serializer_that_is_given_decides_what_records_can_be() -> None:
    with context(serializer=MarshalSerializer(), batchSize=2) as sc:
        assert sc.serializer == BatchedSerializer(MarshalSerializer(), 2)
        assert sc.parallelize(list(range(10)), 3).map(lambda x: 2 * x).collect() == list(range(0, 20, 2))
        with pytest.raises(ValueError, match="unmarshallable object"):
            sc.parallelize([Thing()]).count()
        things = sc.parallelize([1], 1).map(lambda _: Thing())
        with pytest.raises(TaskError, match="unmarshallable object"):
            things.collect()
        assert things.map(lambda _: 5).collect() == [5]  # things between functions of one stage are not serialised
        assert sc.parallelize([bytearray(b"x")]).collect() == [b"x"]  # which is what marshal makes of it


# --- memory --------------------------------------------------------------------------------------------------------


def test_arrays_of_a_block_that_found_no_room_can_be_changed() -> None:
    """What was unrolled before the memory was full comes out of the bytes, the rest as it was computed."""
    with context(settings={"spark.executor.memory": "16m"}) as sc:
        rdd = sc.range(20, numSlices=1).map(lambda i: np.full(1 << 17, float(i))).cache()

        def change(array: Any) -> float:
            array += 1
            return float(array[0])

        for _ in range(2):
            assert rdd.map(change).collect() == [i + 1.0 for i in range(20)]


# --- subclasses ----------------------------------------------------------------------------------------------------


class Named(SparkContext):
    """A program's own context, whose constructor takes other arguments."""

    def __init__(self, name: str) -> None:
        super().__init__("local[1]", name)


def test_get_or_create_of_a_subclass_gives_its_active_context_and_makes_plain_ones() -> None:
    with Named("own") as own:
        assert Named.getOrCreate() is own
        assert own.parallelize([1, 2]).count() == 2
    with Named.getOrCreate(SparkConf().setMaster("local[1]").setAppName("plain")) as plain:
        assert type(plain) is SparkContext
        assert plain.appName == "plain"


@pytest.mark.parametrize(("given", "expected"), [({}, "2"), ({"OMP_NUM_THREADS": "5"}, "5")])
def test_libraries_start_as_many_threads_as_a_task_has_cores(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    conf = SparkConf().setMaster("local[2]").set("spark.task.cpus", "2").setExecutorEnv(pairs=given.items())
    with SparkContext(conf=conf) as context:
        assert context.parallelize([0], 1).map(lambda _: os.environ["OMP_NUM_THREADS"]).first() == expected
        assert "OMP_NUM_THREADS" not in os.environ
