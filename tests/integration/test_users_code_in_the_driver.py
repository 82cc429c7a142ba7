"""What of the user's runs in the driver runs in the user's own threads, never in those that serve all jobs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkContext
from localcluster.errors import TaskError
from localcluster.task.env import get_env
from protocol.locations import DRIVER
from tests.faults.runs import ROOT

threads: list[str] = []
"""Names of the driver's threads in which something of the user's ran, in order; what else tests note."""


def is_driver() -> bool:
    """Not by a number noted here: an executor may import this module, too."""
    return get_env().executor_id == DRIVER


def note_thread() -> None:
    if is_driver():
        threads.append(threading.current_thread().name)


@pytest.fixture(autouse=True)
def _no_threads_yet() -> None:
    threads.clear()


def unpickled(value: Any, in_driver: Callable[[], Any] | None = None) -> Any:
    note_thread()
    if in_driver is not None and is_driver():
        in_driver()
    return value


class Odd(Exception):
    """Unpickles as ``value`` after calling ``in_driver``, if that happens in the driver."""

    def __init__(self, value: Any, in_driver: Callable[[], Any] | None = None) -> None:
        super().__init__("odd")
        self.value = value
        self.in_driver = in_driver

    def __reduce__(self) -> Any:
        return unpickled, (self.value, self.in_driver)


def fail_with(error: Callable[[], BaseException], sc: SparkContext) -> TaskError:
    def fail(_: int) -> None:
        raise error()

    with pytest.raises(TaskError) as caught:
        sc.parallelize(range(2), 2).foreach(fail)
    return caught.value


def test_a_tasks_exception_is_unpickled_by_the_thread_that_waits(sc: SparkContext) -> None:
    error = fail_with(lambda: Odd(ValueError("boom")), sc)
    assert isinstance(error.cause, ValueError)
    assert threads == ["MainThread"]


def wait_for_another_job() -> None:
    sc = SparkContext.getOrCreate()
    thread = threading.Thread(target=lambda: threads.append(f"counted {sc.parallelize(range(5), 2).count()}"))
    thread.start()
    thread.join(30)


def test_other_jobs_go_on_while_an_exception_takes_its_time_to_unpickle(sc: SparkContext) -> None:
    error = fail_with(lambda: Odd(ValueError("boom"), wait_for_another_job), sc)
    assert isinstance(error.cause, ValueError)
    assert threads == ["MainThread", "counted 5"]


@pytest.mark.parametrize("value", [5, None])
def test_an_exception_that_unpickles_as_something_else_leaves_the_text(sc: SparkContext, value: Any) -> None:
    assert fail_with(lambda: Odd(value), sc).cause is None
    assert sc.parallelize([1]).count() == 1


def test_an_exit_while_an_exception_is_unpickled_does_not_end_the_context(sc: SparkContext) -> None:
    assert fail_with(lambda: Odd(ValueError(), sys.exit), sc).cause is None
    assert sc.parallelize([1]).count() == 1


def test_an_exit_while_a_result_is_unpickled_is_the_programs(sc: SparkContext) -> None:
    with pytest.raises(SystemExit):
        sc.parallelize([1], 1).map(lambda _: Odd(1, sys.exit)).collect()
    assert threads == ["MainThread"]
    assert sc.parallelize([1]).count() == 1


# --- finalizers ----------------------------------------------------------------------------------------------------


class Held:
    """Something that the closure of a job holds; tasks see 0 in its place."""

    def __reduce__(self) -> Any:
        return int, ()

    def __del__(self) -> None:
        note_thread()


def test_what_failed_jobs_held_is_finalized_by_the_thread_that_waits(sc: SparkContext) -> None:
    def fail(x: int, held: Held) -> None:
        raise ValueError

    for _ in range(20):
        held = Held()
        rdd = sc.parallelize(range(2), 2).map(lambda x, held=held: fail(x, held))  # type: ignore[misc]
        del held
        try:
            rdd.count()
        except TaskError:
            del rdd
    assert threads == ["MainThread"] * 20


def test_what_a_dropped_iterator_held_is_finalized_where_it_is_dropped(sc: SparkContext) -> None:
    for _ in range(10):
        held = Held()
        records = sc.parallelize(range(4), 4).map(lambda x, held=held: x).toLocalIterator(True)  # type: ignore[misc]
        del held
        assert next(records) == 0
        del records
    assert threads == ["MainThread"] * 10


# --- imports -------------------------------------------------------------------------------------------------------

JOB_AT_IMPORT = """
from localcluster import SparkContext, TaskContext

class JobModError(Exception):
    pass

def fail(x):
    raise JobModError(x)

if TaskContext.get() is None:  # tasks import this module, too
    with SparkContext("local[2]") as sc:
        try:
            sc.parallelize(range(2), 2).foreach(fail)
        except Exception as error:
            print(type(error.cause) is JobModError)
"""


def test_a_module_may_run_its_job_while_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "jobmod.py").write_text(JOB_AT_IMPORT)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-c", "import jobmod"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
