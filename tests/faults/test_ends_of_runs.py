"""However a run ends, nothing is left: no process, no shared memory, no directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import BUSY_JOB, ROOT, WORK_FOR_EVER, Run, is_alive, signals_of_a_shell
from tests.support import DEADLINE, wait_until

MODES = pytest.mark.parametrize("library", [False, True], ids=["run", "library"])
INTERRUPTED = 130


def busy(tmp_path: Path, library: bool, ending: str = WORK_FOR_EVER) -> Run:
    run = Run(tmp_path, BUSY_JOB.format(ending=ending), library=library)
    try:
        run.until_ready()
    except BaseException:
        run.__exit__()
        raise
    return run


@MODES
def test_a_job_that_ends_normally_leaves_nothing(tmp_path: Path, library: bool) -> None:
    with busy(tmp_path, library, "print('done')") as run:
        assert run.wait() == 0, run.errors
        assert run.output.endswith("done\n")
        assert run.errors == ""
        run.assert_nothing_left()


@MODES
def test_a_job_that_raises_leaves_nothing_and_exits_with_1(tmp_path: Path, library: bool) -> None:
    with busy(tmp_path, library, "raise RuntimeError('the job is wrong')") as run:
        assert run.wait() == 1
        assert run.errors.endswith("RuntimeError: the job is wrong\n")
        assert 'job.py", line' in run.errors
        assert "localcluster" not in run.errors.replace("localcluster run", "")
        run.assert_nothing_left()


def test_a_job_that_raises_is_told_by_its_own_excepthook(tmp_path: Path) -> None:
    job = """
import sys
sys.excepthook = lambda kind, error, trace: print(kind.__name__, error, trace.tb_frame.f_code.co_filename)
raise ValueError("the job is wrong")
"""
    with Run(tmp_path, job) as run:
        assert run.wait() == 1
        assert run.output == f"ValueError the job is wrong {tmp_path / 'job.py'}\n"
        assert run.errors == ""


@MODES
@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_of_the_job_is_the_runs(tmp_path: Path, library: bool, code: int) -> None:
    with busy(tmp_path, library, f"sys.exit({code})") as run:
        assert run.wait() == code
        run.assert_nothing_left()


@MODES
def test_ctrl_c_on_the_process_group_ends_everything(tmp_path: Path, library: bool) -> None:
    with busy(tmp_path, library) as run:
        os.killpg(run.process.pid, signal.SIGINT)
        code = run.wait()
        assert code == (-signal.SIGINT if library else INTERRUPTED), run.errors
        run.assert_nothing_left()


def test_sigint_to_the_launcher_alone_reaches_the_driver(tmp_path: Path) -> None:
    with busy(tmp_path, library=False) as run:
        os.kill(run.launcher, signal.SIGINT)
        assert run.wait() == INTERRUPTED, run.errors
        run.assert_nothing_left()


def test_sigterm_to_the_run_ends_it_with_143(tmp_path: Path) -> None:
    with busy(tmp_path, library=False) as run:
        os.kill(run.launcher, signal.SIGTERM)
        assert run.wait() == 128 + signal.SIGTERM
        run.assert_nothing_left()


@MODES
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_killed_takes_everything_with_it(tmp_path: Path, library: bool, signum: int) -> None:
    with busy(tmp_path, library) as run:
        os.kill(run.driver, signum)
        assert run.wait() == (-signum if library else 128 + signum)
        run.assert_nothing_left()


def test_a_launcher_that_is_killed_takes_everything_with_it(tmp_path: Path) -> None:
    with busy(tmp_path, library=False) as run:
        os.kill(run.launcher, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        run.assert_nothing_left()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_library_driver_survives_its_launcher_and_gets_a_clear_error(tmp_path: Path, signum: int) -> None:
    ending = f"""
import signal, threading
import psutil
launcher = psutil.Process(sc.parallelize([0], 1).map(lambda _: os.getppid()).first())
threading.Timer(0.5, lambda: launcher.send_signal({int(signum)})).start()
try:
    {WORK_FOR_EVER}
except Exception as error:
    print(type(error).__name__, error)
try:
    sc.parallelize([1]).count()
except Exception as error:
    print(type(error).__name__)
sc.stop()
"""
    with busy(tmp_path, True, ending) as run:
        assert run.wait() == 0, run.errors
        assert "ClusterError the launcher is gone" in run.output
        assert run.output.endswith("ClusterError\n")
        run.assert_nothing_left()


@MODES
def test_sigkill_of_the_whole_group_at_once_leaves_nothing(tmp_path: Path, library: bool) -> None:
    with busy(tmp_path, library) as run:
        os.killpg(run.process.pid, signal.SIGKILL)
        run.wait()
        run.assert_nothing_left()


@MODES
def test_stopped_executors_do_not_survive_the_driver(tmp_path: Path, library: bool) -> None:
    with busy(tmp_path, library) as run:
        for pid in run.executors:
            os.kill(pid, signal.SIGSTOP)
        os.kill(run.driver, signal.SIGKILL)
        run.wait()
        run.assert_nothing_left()


@MODES
def test_a_job_outlives_an_executor_that_is_killed(tmp_path: Path, library: bool) -> None:
    ending = """
import signal
victim = sc.parallelize([0], 1).map(lambda _: os.getpid()).first()
os.kill(victim, signal.SIGKILL)
assert cached.map(lambda pair: pair[1]).sum() == sum(range(1000))
assert cached.reduceByKey(lambda a, b: a + b).count() == 7
assert disk.sum() == sum(range(1000))
print("survived")
"""
    with busy(tmp_path, library, ending) as run:
        assert run.wait() == 0, run.errors
        assert run.output.endswith("survived\n")
        run.assert_nothing_left()


def test_clean_removes_what_a_power_cut_left_and_nothing_else(tmp_path: Path) -> None:
    with busy(tmp_path, library=False) as run:
        janitors = [process for process in run.family.values() if process.name() == "lc-janitor"]
        assert len(janitors) == 1
        janitors[0].kill()
        os.killpg(run.process.pid, signal.SIGKILL)
        run.wait()
        wait_until(lambda: not run.living(), "processes left", run.living)
        assert run.files()
        assert clean(tmp_path) == 0
        assert not run.files()


def test_clean_leaves_a_living_run_alone(tmp_path: Path) -> None:
    with busy(tmp_path, library=False) as run:
        before = run.files()
        assert before
        assert clean(tmp_path) == 0
        assert set(before) <= set(run.files())  # the job goes on, and may have made more
        assert psutil.pid_exists(run.driver)
        os.kill(run.launcher, signal.SIGTERM)
        run.wait()
        run.assert_nothing_left()


def clean(tmp_path: Path) -> int:
    """Run ``localcluster clean`` on the run's own temporary directory."""
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "localcluster", "clean"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=2 * DEADLINE)
    assert done.stderr == b""
    return done.returncode


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_round_of_a_chaos_run_that_is_ended_ends_with_it(tmp_path: Path, signum: signal.Signals) -> None:
    temporary, begun = tmp_path / "tmp", tmp_path / "begun"
    temporary.mkdir()
    (tmp_path / "job.py").write_text(
        "import os, time\nfrom localcluster import SparkContext\nsc = SparkContext('local[2]')\n"
        f"open({str(begun)!r}, 'w').close()\ntime.sleep(600)"
    )
    command = [sys.executable, "-m", "localcluster", "chaos", "job.py"]
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, preexec_fn=signals_of_a_shell) as chaos:
        wait_until(begun.exists, "no round begins")
        family = psutil.Process(chaos.pid)
        wait_until(lambda: len(family.children(recursive=True)) >= 4, "no executor starts")
        processes = family.children(recursive=True)
        chaos.send_signal(signum)
        assert chaos.wait(DEADLINE) == (-signum if signum == signal.SIGKILL else 128 + signum)
    wait_until(lambda: not any(map(is_alive, processes)), "processes left")
    wait_until(lambda: not list(temporary.rglob("localcluster-*")), "files left")
    assert signum == signal.SIGKILL or not list(temporary.iterdir())
