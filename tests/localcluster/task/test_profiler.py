"""Profilers: merged over tasks, shown once, dumped under the RDD's id; classes of the program's own."""

from __future__ import annotations

import os
import pickle
import pstats
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.task import profiler as p
from localcluster.task.accumulators import Accumulator, collect_updates, merge_updates
from localcluster.task.profiled_action import ProfiledAction
from protocol.errors import PySparkNotImplementedError, PySparkRuntimeError
from tests.localcluster.task.contexts import task_context


class OneContext:
    """What profilers need of a context."""

    def accumulator(self, value: Any, accum_param: Any = None) -> Accumulator[Any]:
        return Accumulator(0, value, accum_param)


def heavy(count: int) -> int:
    return sum(range(count))


def collector(dump_path: str | None = None) -> p.ProfilerCollector:
    return p.ProfilerCollector(p.BasicProfiler, p.UDFBasicProfiler, p.MemoryProfiler, dump_path)


@pytest.fixture
def profiler() -> p.BasicProfiler:
    return p.BasicProfiler(OneContext())  # type: ignore[arg-type]


def in_a_task(profiler: Any, work: Any) -> Any:
    """Run work in a task, by a copy of the profiler, and report what it measured."""
    travelling = pickle.dumps(profiler)
    context = task_context()
    context.enter()
    try:
        result = pickle.loads(travelling).profile(work)
        updates = collect_updates(context)
    finally:
        context.leave()
    assert updates is not None
    merge_updates(updates)
    return result


def calls(stats: pstats.Stats, name: str) -> int:
    return sum(entry[1] for key, entry in stats.stats.items() if key[2] == name)  # type: ignore[attr-defined]


def test_the_calls_of_all_tasks_are_added_up(profiler: p.BasicProfiler) -> None:
    assert profiler.stats() is None
    for _ in range(3):
        assert in_a_task(profiler, lambda: heavy(10)) == 45
    stats = profiler.stats()
    assert stats is not None
    assert calls(stats, "heavy") == 3


def test_profiles_are_shown_and_dumped_under_the_rdds_id(
    profiler: p.BasicProfiler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profiler.show(7)
    profiler.dump(7, str(tmp_path / "none"))
    assert (capsys.readouterr().out, os.listdir(tmp_path / "none")) == ("", [])
    in_a_task(profiler, lambda: heavy(10))
    profiler.show(7)
    shown = capsys.readouterr().out
    assert "Profile of RDD<id=7>" in shown
    assert "(heavy)" in shown
    profiler.dump(7, str(tmp_path / "a" / "b"))
    assert calls(pstats.Stats(str(tmp_path / "a" / "b" / "rdd_7.pstats")), "heavy") == 1


def test_a_task_beside_one_that_is_profiled_runs_and_says_that_it_is_not(
    profiler: p.BasicProfiler, caplog: pytest.LogCaptureFixture
) -> None:
    inside, done = threading.Event(), threading.Event()

    def first() -> None:
        inside.set()
        assert done.wait(30)

    thread = threading.Thread(target=profiler.profile, args=(first,))
    thread.start()
    assert inside.wait(30)
    assert profiler.profile(heavy, 10) == 45
    done.set()
    thread.join()
    assert "not profiled" in caplog.text
    if sys.version_info < (3, 12):  # where cProfile keeps threads apart
        stats = profiler.stats()
        assert stats is not None
        assert (calls(stats, "first"), calls(stats, "heavy")) == (1, 0)


def test_what_a_failing_task_raises_comes_out_and_profiling_goes_on(profiler: p.BasicProfiler) -> None:
    with pytest.raises(ZeroDivisionError):
        profiler.profile(lambda: 1 / 0)
    assert profiler.profile(heavy, 10) == 45
    stats = profiler.stats()
    assert stats is not None
    assert calls(stats, "heavy") == 1


def test_a_profiler_that_returns_nothing_loses_no_result() -> None:
    def profile(work: Any) -> None:
        work()

    assert ProfiledAction("action", SimpleNamespace(profile=profile)).run(lambda: 5) == 5  # type: ignore[arg-type]


def test_a_collector_shows_each_profile_once_and_dumps_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Noting(p.Profiler):
        def show(self, id: int) -> None:
            seen.append(("show", id))

        def dump(self, id: int, path: str) -> None:
            seen.append(("dump", id, path))

    at_exit: list[Any] = []
    monkeypatch.setattr("atexit.register", lambda *call: at_exit.append(call))
    profilers = collector()
    profilers.profiler_cls = Noting
    for id in (1, 3):
        profilers.add_profiler(id, profilers.new_profiler(OneContext()))  # type: ignore[arg-type]
    assert profilers.find(3) is profilers.profilers[1][1]
    assert profilers.find(2) is None
    profilers.show_profiles()
    profilers.show_profiles()
    assert seen == [("show", 1), ("show", 3)]
    profilers.dump_profiles("there")
    profilers.dump_profiles("there")
    assert seen[2:] == [("dump", 1, "there"), ("dump", 3, "there")]
    assert at_exit == [(profilers.show_profiles,)]


def test_with_a_path_profiles_are_dumped_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Any] = []
    monkeypatch.setattr("atexit.register", lambda *call: at_exit.append(call))
    profilers = collector("there")
    profilers.add_profiler(1, profilers.new_profiler(OneContext()))  # type: ignore[arg-type]
    assert at_exit == [(profilers.dump_profiles, "there")]


def test_profilers_of_udfs_are_there_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    context: Any = OneContext()
    udf = collector().new_udf_profiler(context)
    assert isinstance(udf, p.UDFBasicProfiler)
    memory = collector().new_memory_profiler(context)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PySparkRuntimeError, match="MISSING_LIBRARY_FOR_PROFILER"):
        memory.profile(heavy, 1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(PySparkNotImplementedError, match="UDFs"):
        memory.profile(heavy, 1)


def test_a_profiler_must_say_how(profiler: p.BasicProfiler) -> None:
    bare: Any = p.Profiler(OneContext())  # type: ignore[arg-type]
    for call in (lambda: bare.profile(heavy), bare.stats, lambda: bare.show(1), lambda: bare.dump(1, "x")):
        with pytest.raises(NotImplementedError):
            call()
