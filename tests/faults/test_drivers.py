"""What a driver may do to itself: fork, close its streams, catch Ctrl-C, cancel again and again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from operator import add
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel
from localcluster.errors import JobCancelledError
from tests.faults.runs import BUSY_JOB, ROOT, WORK_FOR_EVER, Run
from tests.support import DEADLINE, wait_until


def test_a_forked_child_of_the_driver_does_not_end_the_cluster(tmp_path: Path) -> None:
    ending = """
child = os.fork()
if child == 0:
    try:
        sc.parallelize([1]).count()
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    sys.exit(5)  # its exit handlers run
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
print("sum", sc.parallelize(range(10), 2).sum())
"""
    with Run(tmp_path, BUSY_JOB.format(ending=ending), library=True) as run:
        run.until_ready()
        assert run.wait() == 0, run.errors
        assert "ContextError this process was forked" in run.output
        assert run.output.endswith("sum 45\n")
        run.assert_nothing_left()


def test_a_forked_child_of_a_run_driver_may_have_a_context_of_its_own(tmp_path: Path) -> None:
    ending = """
sys.stdout.flush()
child = os.fork()
if child == 0:
    with SparkContext("local[1]") as own:
        print("child", own.range(4).sum(), flush=True)
    os._exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
print("sum", sc.parallelize(range(10), 2).sum())
"""
    with Run(tmp_path, BUSY_JOB.format(ending=ending)) as run:
        run.until_ready()
        assert run.wait() == 0, run.errors
        assert run.output.endswith("child 6\nsum 45\n")
        run.assert_nothing_left()


def test_one_ctrl_c_is_one_keyboard_interrupt(tmp_path: Path) -> None:
    ending = f"""
try:
    print("guarded", flush=True)
    {WORK_FOR_EVER}
except KeyboardInterrupt:
    print("caught", flush=True)
    time.sleep(1)  # time for a second interrupt, or an impatient launcher, to show itself
    print("cleaned up")
    sys.exit(9)
"""
    with Run(tmp_path, BUSY_JOB.format(ending=ending)) as run:
        run.until_ready()
        run.until("guarded")  # "ready" is printed before the try, where a Ctrl-C would end the run
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.wait() == 9, run.errors
        assert run.output.endswith("caught\ncleaned up\n")
        run.assert_nothing_left()


def test_a_program_without_standard_streams_runs(tmp_path: Path) -> None:
    result = tmp_path / "result"
    job = tmp_path / "job.py"
    job.write_text(f"""
import sys, traceback
from localcluster import SparkContext
def tell(*error):
    traceback.print_exception(*error, file=open({str(result)!r}, "w"))
sys.excepthook = tell
with SparkContext("local[2]") as sc:
    total = sc.parallelize(range(10), 4).map(lambda x: (print("unseen"), x)[1]).sum()
open({str(result)!r}, "w").write(str(total))
""")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    for program in ('"$0" "$1"', '"$0" -m localcluster run "$1"'):
        command = ["sh", "-c", f"exec {program} <&- >&- 2>&-", sys.executable, str(job)]
        code = subprocess.run(command, env=environment, timeout=DEADLINE).returncode
        assert (code, result.read_text()) == (0, "45")
        result.unlink()


def test_what_tasks_start_ends_with_their_executor(tmp_path: Path) -> None:
    ending = """
import subprocess
def start(_):
    child = os.fork()
    if child == 0:
        time.sleep(600)  # until it is killed
    return child
print("stray", sc.parallelize([0], 1).map(start).first(), flush=True)
"""
    with Run(tmp_path, BUSY_JOB.format(ending=ending)) as run:
        run.until_ready()
        assert run.wait() == 0, run.errors
        stray = int(run.output.split()[-1])
        wait_until(lambda: not os.path.exists(f"/proc/{stray}"), "the stray process lives")
        run.assert_nothing_left()


@pytest.mark.parametrize("cores", ["1", "3"])
def test_cancelling_again_and_again_harms_no_other_job(cores: str) -> None:
    """Kills come at random moments, in executors with one task thread and with several."""
    conf = SparkConf().set("spark.executor.instances", "2").set("spark.executor.cores", cores)
    over = threading.Event()
    rng = random.Random(3)
    with SparkContext(conf=conf) as context:

        def cancel() -> None:
            while not over.wait(rng.uniform(0.001, 0.02)):
                context.cancelJobGroup("cancelled")

        def start_jobs() -> None:
            context.setJobGroup("cancelled", "")
            while not over.is_set():
                with contextlib.suppress(JobCancelledError):
                    run_jobs(context)

        threads = [threading.Thread(target=cancel), threading.Thread(target=start_jobs)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                run_jobs(context)
        finally:
            over.set()
            for thread in threads:
                thread.join(DEADLINE)
        assert not any(thread.is_alive() for thread in threads)
        run_jobs(context)


def run_jobs(context: SparkContext) -> None:
    pairs = context.parallelize(range(2000), 6).map(lambda x: (x % 7, x)).persist(StorageLevel.OFF_HEAP)
    expected = [(key, sum(x for x in range(2000) if x % 7 == key)) for key in range(7)]
    assert sorted(pairs.reduceByKey(add, 4).collect()) == expected
    variable = context.broadcast(bytes(100_000))
    assert context.parallelize(range(6), 6).map(lambda _: len(variable.value)).sum() == 600_000
    pairs.unpersist()


def test_a_program_beside_a_storage_module_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "storage.py").write_text("")
    (tmp_path / "job.py").write_text("import localcluster")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in ([sys.executable], [sys.executable, "-m", "localcluster", "run"]):
        done = subprocess.run([*command, str(tmp_path / "job.py")], env=environment, capture_output=True, text=True)
        assert done.returncode != 0
        assert str(tmp_path / "storage.py") in done.stderr
        assert "rename" in done.stderr
