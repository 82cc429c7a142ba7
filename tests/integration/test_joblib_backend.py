"""joblib's `Parallel` on our executors: its arguments, its nesting, its ends. What joblib does itself is not tried."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config

import localcluster.joblib
from localcluster import SparkContext
from tests.faults.runs import signals_of_a_shell
from tests.support import DEADLINE, wait_until


@pytest.fixture(autouse=True)
def backend(sc: SparkContext) -> Iterator[None]:
    with parallel_config(backend="localcluster", n_jobs=2):
        yield


def square(i: int) -> int:
    return i * i


def pid(_: int) -> int:
    return os.getpid()


def writeable(array: Any) -> bool:
    return bool(array.flags.writeable)


def nested(i: int, n_jobs: int) -> tuple[list[int], bool, int]:
    """Results of a loop in a task, whether it ran in this process, and in how many threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Parallel(n_jobs=n_jobs)(delayed(where)(k) for k in range(4))
    return [k for k, _, _ in found], {p for _, p, _ in found} == {os.getpid()}, len({t for _, _, t in found})


def where(k: int) -> tuple[int, int, int]:
    return k, os.getpid(), threading.get_ident()


def explicitly_nested() -> list[int]:
    with pytest.warns(UserWarning, match="cannot be nested"):
        return Parallel(n_jobs=2, backend=localcluster.joblib.LocalClusterBackend())(delayed(pid)(0) for _ in range(2))


def prepared() -> str | None:
    return os.environ.get("PREPARED")


def fail(text: str) -> None:
    raise LookupError(text)


def hang(gate: Path, started: Path) -> None:
    started.touch()
    wait_until(gate.exists)


# --- results ---


def test_a_loop_runs_in_executors(sc: SparkContext) -> None:
    before = sc.statistics().tasks.finished
    assert Parallel()(delayed(square)(i) for i in range(20)) == [i * i for i in range(20)]
    assert sc.statistics().tasks.finished > before
    assert os.getpid() not in Parallel(batch_size=1)(delayed(pid)(i) for i in range(4))


@pytest.mark.parametrize("return_as", ["generator", "generator_unordered"])
def test_results_one_by_one(return_as: str) -> None:
    results = Parallel(return_as=return_as)(delayed(square)(i) for i in range(10))
    assert sorted(results) == [i * i for i in range(10)]


def test_an_exception_comes_with_its_traceback() -> None:
    with pytest.raises(LookupError, match="here") as caught:
        Parallel()(delayed(fail)("here") for _ in range(4))
    assert "in fail\n" in str(caught.value.__cause__)


# --- how many ---


@pytest.mark.parametrize(("wanted", "given"), [(1, 1), (2, 2), (-1, 2), (-2, 1), (-9, 1), (8, 2), (None, 1)])
def test_the_number_of_jobs_is_counted_in_the_contexts_cores(wanted: int | None, given: int) -> None:
    assert localcluster.joblib.LocalClusterBackend().effective_n_jobs(wanted) == given


def test_no_jobs_make_no_sense() -> None:
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(delayed(square)(i) for i in range(2))


def test_a_loop_in_a_task_has_threads_and_one_within_that_none() -> None:
    for numbers, is_here, threads in Parallel()(delayed(nested)(i, 2) for i in range(2)):
        assert numbers == [0, 1, 2, 3]
        assert is_here
        assert threads <= 2
    for _, is_here, threads in Parallel()(delayed(nested)(i, 1) for i in range(2)):
        assert is_here
        assert threads == 1


def test_the_backend_itself_in_a_task_is_a_plain_loop() -> None:
    for pids in Parallel()(delayed(explicitly_nested)() for _ in range(2)):
        assert len(set(pids)) == 1
        assert os.getpid() not in pids


# --- arrays ---


def test_large_arrays_are_views_and_small_ones_are_copies() -> None:
    small, large = np.zeros(10), np.zeros(1 << 20)
    assert Parallel()(delayed(writeable)(array) for array in (small, large)) == [True, False]
    assert Parallel(max_nbytes="16M")(delayed(writeable)(array) for array in (small, large)) == [True, True]
    assert Parallel(max_nbytes=10)(delayed(writeable)(array) for array in (small, large)) == [False, False]
    assert Parallel(mmap_mode="c")(delayed(writeable)(array) for array in (small, large)) == [True, True]
    with pytest.raises(ValueError, match="mmap_mode"):
        Parallel(mmap_mode="r+")(delayed(writeable)(array) for array in (small, large))


def test_an_array_that_changed_between_two_loops_is_seen_changed() -> None:
    numbers = np.zeros(1 << 20)
    with Parallel() as parallel:
        for value in (1.0, 2.0):
            numbers[:] = value
            assert parallel(delayed(np.max)(numbers) for _ in range(4)) == [value] * 4


# --- ends ---


def test_a_loop_that_takes_too_long_is_given_up_and_its_tasks_end(sc: SparkContext, tmp_path: Path) -> None:
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.1)(delayed(hang)(tmp_path / "gate", tmp_path / "started") for _ in range(2))
    wait_until(lambda: sc.statistics().tasks.at_executors == 0)
    assert Parallel()(delayed(square)(i) for i in range(4)) == [0, 1, 4, 9], "executors are free again"


def test_workers_are_prepared() -> None:
    def prepare(text: str) -> None:
        os.environ["PREPARED"] = text

    with parallel_config(backend="localcluster", n_jobs=2, initializer=prepare, initargs=("yes",)):
        assert set(Parallel()(delayed(prepared)() for _ in range(4))) == {"yes"}


def test_a_forest_and_a_search_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    x, y = make_classification(500, random_state=0)
    forest = RandomForestClassifier(10, random_state=0, n_jobs=2).fit(x, y)
    with parallel_config(backend="sequential"):
        assert np.array_equal(forest.predict(x), RandomForestClassifier(10, random_state=0).fit(x, y).predict(x))
    search = GridSearchCV(RandomForestClassifier(5, random_state=0), {"max_depth": [1, 3]}, cv=2, n_jobs=2).fit(x, y)
    assert search.best_params_["max_depth"] in (1, 3)


# --- programs of their own ---

PROGRAM = """
import os, time
from joblib import Parallel, delayed
import localcluster.joblib
from localcluster import SparkContext

def interrupt(i):
    if i == 0:  # one Ctrl-C
        os.kill(driver, 2)
    time.sleep(600)

if __name__ == "__main__":
    driver = os.getpid()
    contexts = set()
    for n_jobs in (2, 3, 2):
        print(Parallel(n_jobs, backend="localcluster")(delayed(pow)(i, 2) for i in range(4)))
        contexts.add(SparkContext._active_spark_context)
    print(len(contexts))
    try:
        Parallel(2, backend="localcluster")(delayed(interrupt)(i) for i in range(4))
    except KeyboardInterrupt:
        print("interrupted")
    print(Parallel(2, backend="localcluster")(delayed(pow)(i, 2) for i in range(4)))
    localcluster.joblib.stop()
    with SparkContext("local[1]") as sc:
        print(sc.parallelize([1]).collect())
"""


def test_a_context_of_its_own(tmp_path: Path) -> None:
    """It is kept for the next loop; a Ctrl-C ends the loop; a program can stop it, and make its own."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        preexec_fn=signals_of_a_shell,
    )
    squares = "[0, 1, 4, 9]\n"
    assert run.stdout == squares * 3 + "1\ninterrupted\n" + squares + "[1]\n", run.stderr
    assert run.stderr == ""
    assert run.returncode == 0
