"""`ClusterExecutor` on a real cluster: what `concurrent.futures` promises, and what comes of executors and contexts
that end.
"""

from __future__ import annotations

import doctest
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, TimeoutError, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localcluster import ClusterExecutor, SparkContext, TaskContext
from localcluster.errors import ContextError, TaskError
from localcluster.futures import cluster_executor
from protocol.errors import JobCancelledError, PySparkTypeError, SerializationError
from tests.faults.runs import signals_of_a_shell
from tests.support import DEADLINE, wait_until

ROOT = Path(__file__).resolve().parents[2]
LARGE = 1 << 20  # bytes: what becomes a block


@pytest.fixture
def executor(sc: SparkContext) -> Iterator[ClusterExecutor]:
    with ClusterExecutor(sc) as executor:
        yield executor


def fail(text: str) -> None:
    raise LookupError(text)


# --- calls ---


def test_the_example_of_the_docstring(sc: SparkContext) -> None:
    ran = doctest.testmod(cluster_executor, extraglobs={"sc": sc})
    assert ran.attempted > 2
    assert ran.failed == 0


def test_calls_run_in_executors(executor: ClusterExecutor) -> None:
    here = os.getpid()
    futures = [executor.submit(lambda i: (os.getpid() != here, i * i), i) for i in range(20)]
    assert sorted(future.result(DEADLINE) for future in as_completed(futures, DEADLINE)) == [
        (True, i * i) for i in range(20)
    ]


def test_the_active_context_is_taken_when_none_is_given(sc: SparkContext) -> None:
    before = sc.statistics().tasks.finished
    with ClusterExecutor(max_workers=1) as executor:
        assert executor.submit(pow, 2, exp=10).result(DEADLINE) == 1024
    assert sc.statistics().tasks.finished == before + 1
    assert sc.parallelize([1]).collect() == [1], "it is not stopped"


def test_map_gives_results_in_order_and_chunks_are_calls(sc: SparkContext, executor: ClusterExecutor) -> None:
    before = sc.statistics().tasks.finished
    assert list(executor.map(pow, range(10), [2] * 7, chunksize=3)) == [i * i for i in range(7)]
    assert sc.statistics().tasks.finished == before + 3
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(pow, (), chunksize=0)


def test_map_raises_where_the_call_did_and_gives_up_in_time(executor: ClusterExecutor, tmp_path: Path) -> None:
    results = executor.map(lambda i: 1 / i, [1, 0])
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)
    gate = tmp_path / "gate"
    with pytest.raises(TimeoutError):
        next(executor.map(lambda _: wait_until(gate.exists), [0], timeout=0.01))
    gate.touch()


def test_an_exception_shows_where_it_was_raised(executor: ClusterExecutor) -> None:
    error = executor.submit(fail, "here").exception(DEADLINE)
    assert type(error) is LookupError
    assert "in fail\n" in str(error.__cause__)


def test_what_cannot_be_pickled_is_its_futures_exception(executor: ClusterExecutor) -> None:
    assert "generator" in str(executor.submit(len, (i for i in ())).exception(DEADLINE))
    assert "generator" in str(executor.submit(lambda: (i for i in ())).exception(DEADLINE))
    with pytest.raises(Exception, match="generator"):
        list(executor.map(lambda x, g=(i for i in ()): x, [1]))
    with pytest.raises(SerializationError, match="ClusterExecutor cannot be pickled"):
        executor.submit(lambda: executor).result(DEADLINE)


def test_callbacks_may_make_calls(executor: ClusterExecutor) -> None:
    second: Future[Future[int]] = Future()
    executor.submit(abs, -1).add_done_callback(lambda done: second.set_result(executor.submit(pow, done.result(), 2)))
    assert second.result(DEADLINE).result(DEADLINE) == 1


def test_calls_use_what_tasks_use(sc: SparkContext, executor: ClusterExecutor) -> None:
    shared, total = sc.broadcast([1, 2, 3]), sc.accumulator(0)

    def call() -> int:
        total.add(5)
        assert TaskContext.get() is not None
        return sum(shared.value)

    assert executor.submit(call).result(DEADLINE) == 6
    assert total.value == 5


def test_queues_of_a_manager_reach_their_server(executor: ClusterExecutor) -> None:
    with multiprocessing.get_context("spawn").Manager() as manager:
        queue = manager.Queue()
        executor.submit(queue.put, "from a task").result(DEADLINE)
        assert queue.get(timeout=DEADLINE) == "from a task"


def test_each_process_is_prepared_before_its_first_call(sc: SparkContext) -> None:
    def prepare(text: str) -> None:
        os.environ["PREPARED"] = text

    with ClusterExecutor(sc, initializer=prepare, initargs=("yes",)) as executor:
        assert set(executor.map(lambda _: os.environ.get("PREPARED"), range(10))) == {"yes"}
    with ClusterExecutor(sc, initializer=fail, initargs=("not ready",)) as executor:
        future = executor.submit(abs, 1)
        assert type(future.exception(DEADLINE)) is BrokenExecutor
        with pytest.raises(BrokenExecutor, match="initializer"):
            executor.submit(abs, 1)


# --- large arguments ---


def test_a_large_array_is_one_block_and_arrives_as_a_view(sc: SparkContext, executor: ClusterExecutor) -> None:
    numbers = np.arange(LARGE, dtype="uint8")

    def look(array: Any, i: int) -> tuple[int, bool, bool]:
        return int(array[i]), array.flags.writeable, array.flags.owndata

    looks = [executor.submit(look, numbers, i) for i in range(10)]
    assert [look.result(DEADLINE) for look in looks] == [(i, False, False) for i in range(10)]
    assert len(executor._large._blocks) == 1
    numbers[0] = 77
    assert executor.submit(look, numbers, 0).result(DEADLINE)[0] == 77


def test_blocks_of_large_arguments_go_with_the_executor(sc: SparkContext) -> None:
    before = sc.statistics().blocks.broadcasts
    with ClusterExecutor(sc) as executor:
        numbers = np.ones(LARGE)
        assert executor.submit(len, numbers).result(DEADLINE) == LARGE
        assert sc.statistics().blocks.broadcasts == before + 1
    wait_until(lambda: sc.statistics().blocks.broadcasts == before, "a block is left")


def test_what_went_with_a_call_goes_with_it(sc: SparkContext, executor: ClusterExecutor) -> None:
    """And does not wait for the collector."""
    executor.submit(abs, -1).result(DEADLINE)
    before = sc.statistics().blocks.broadcasts
    gc.disable()
    try:
        assert executor.submit(len, [f"{i:100}" for i in range(1000)]).result(DEADLINE) == 1000
        wait_until(lambda: sc.statistics().blocks.broadcasts == before, "a block is left")
    finally:
        gc.enable()


def test_a_large_result_is_the_programs_own(executor: ClusterExecutor) -> None:
    ones = executor.submit(np.ones, LARGE).result(DEADLINE)
    ones[0] = 2
    assert ones.sum() == LARGE + 1


# --- executors that die ---


def test_a_call_whose_executor_dies_is_made_again(executor: ClusterExecutor, tmp_path: Path) -> None:
    mark = tmp_path / "died"

    def die_once() -> str:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    assert executor.submit(die_once).result(DEADLINE) == "alive"


def test_a_call_that_always_ends_its_executor_fails_and_no_other_does(executor: ClusterExecutor) -> None:
    deadly = executor.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    others = [executor.submit(abs, -i) for i in range(5)]
    assert [other.result(DEADLINE) for other in others] == list(range(5))
    error = deadly.exception(DEADLINE)
    assert type(error) is TaskError
    assert "killed by signal 9" in str(error)
    assert executor.submit(abs, -1).result(DEADLINE) == 1


# --- ends ---


def test_cancelling_all_jobs_ends_calls_that_run(sc: SparkContext, executor: ClusterExecutor, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "never"

    def hang() -> None:
        started.touch()
        wait_until(gate.exists)

    future = executor.submit(hang)
    wait_until(started.exists)
    assert not future.cancel()
    sc.cancelAllJobs()
    assert type(future.exception(DEADLINE)) is JobCancelledError


def test_no_call_can_be_made_after_the_shutdown(sc: SparkContext) -> None:
    executor = ClusterExecutor(sc)
    future = executor.submit(abs, -1)
    executor.shutdown()
    assert future.result(0) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)
    executor.shutdown()


def test_an_executor_that_nobody_has_any_more_ends_its_calls_and_its_thread(sc: SparkContext) -> None:
    executor = ClusterExecutor(sc)
    thread = executor._dispatcher.thread
    future = executor.submit(abs, -1)
    del executor
    assert future.result(DEADLINE) == 1
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_a_fork_can_make_no_calls(executor: ClusterExecutor) -> None:
    child = os.fork()
    if child == 0:
        try:
            executor.submit(abs, 1)
        except BrokenExecutor:
            os._exit(3)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_number_in_the_first_place_is_that_of_workers(sc: SparkContext) -> None:
    with ClusterExecutor(1) as executor:
        assert executor._dispatcher._width == 1
        assert executor.submit(abs, -1).result(DEADLINE) == 1


def test_what_makes_no_sense_is_refused(sc: SparkContext) -> None:
    with pytest.raises(PySparkTypeError, match="max_workers"):
        ClusterExecutor("4")  # type: ignore[arg-type]
    with pytest.raises(PySparkTypeError, match="a number as its max_workers, not str '4'"):
        ClusterExecutor(max_workers="4")  # type: ignore[arg-type]
    for argument in ({"mp_context": "fork"}, {"max_tasks_per_child": 3}):
        with pytest.raises(TypeError, match="has no meaning"):
            ClusterExecutor(2, **argument)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_workers"):
        ClusterExecutor(max_workers=0)
    with pytest.raises(TypeError, match="initializer"):
        ClusterExecutor(initializer=3)  # type: ignore[arg-type]


# --- programs of their own ---

PROGRAM = """
import sys, time
from concurrent.futures import BrokenExecutor
from localcluster import ClusterExecutor, SparkContext

if __name__ == "__main__":
    executor = ClusterExecutor(max_workers=1)
    futures = [executor.submit(lambda i=i: i) for i in range(5)]
    if "underneath" in sys.argv:
        futures += [executor.submit(time.sleep, 600) for _ in range(3)]
        futures[0].result()
        SparkContext.getOrCreate().stop()
        print({type(future.exception()) is BrokenExecutor for future in futures[5:]})
        try:
            executor.submit(abs, 1)
        except BrokenExecutor as error:
            print("stopped" in str(error))
    elif "stopped" in sys.argv:
        executor.shutdown()
        print(SparkContext._active_spark_context)
    else:
        for future in futures:
            future.add_done_callback(lambda future: print(future.result()))
"""


@pytest.mark.parametrize(
    ("ending", "printed"),
    [("left", "0\n1\n2\n3\n4\n"), ("stopped", "None\n"), ("underneath", "{True}\nTrue\n")],
)
def test_a_context_of_its_own(tmp_path: Path, ending: str, printed: str) -> None:
    """It ends with the executor, which the interpreter's end waits for; or before that."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    run = subprocess.run([sys.executable, program, ending], capture_output=True, text=True, timeout=DEADLINE * 2)
    assert (run.stdout, run.stderr, run.returncode) == (printed, "", 0)


INTERRUPTED = """
import os, sys, time
from localcluster import ClusterExecutor

driver = os.getpid()

def interrupt():
    os.kill(driver, 2)
    time.sleep(600)

executor = ClusterExecutor(max_workers=1)
if "with" in sys.argv:
    with executor:
        executor.submit(interrupt).result()
executor.submit(interrupt).result()
"""


@pytest.mark.parametrize("command", [[], ["-m", "localcluster", "run"]], ids=["library", "run"])
@pytest.mark.parametrize("how", ["with", "without"])
def test_a_ctrl_c_ends_calls_that_run(tmp_path: Path, command: list[str], how: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    run = subprocess.run(
        [sys.executable, *command, program, how],
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        cwd=ROOT,
        preexec_fn=signals_of_a_shell,
    )
    assert run.returncode == (130 if command else -signal.SIGINT)
    assert run.stderr.endswith("interrupted\n" if command else "KeyboardInterrupt\n")


def test_no_executor_can_be_made_in_a_task(executor: ClusterExecutor) -> None:
    assert type(executor.submit(ClusterExecutor).exception(DEADLINE)) is ContextError
