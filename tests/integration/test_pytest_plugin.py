"""The pytest plugin as users have it: their tests are run by a pytest of its own, and its report is looked at."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support import DEADLINE

ROOT = Path(__file__).resolve().parents[2]

JOB = """
def total(sc):
    pairs = sc.parallelize(range(40), 4).map(lambda n: (n % 3, n))
    return dict(pairs.reduceByKey(lambda a, b: a + b, 2).collect())

TOTAL = {0: 273, 1: 247, 2: 260}
"""


class Report:
    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code = process.returncode
        self.text = process.stdout + process.stderr
        words = re.findall(r"(\d+) (passed|failed|errors?|skipped)", self.text.splitlines()[-1] if self.text else "")
        self.counts = Counter({word.rstrip("s"): int(number) for number, word in words})


def run_tests(directory: Path, source: str, *options: str) -> Report:
    (directory / "job.py").write_text(JOB)
    (directory / "test_it.py").write_text(f"from job import TOTAL, total\n{source}")
    (directory / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")
    temp = directory / "tmp"
    temp.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(directory), str(ROOT)]), "TMPDIR": str(temp)}
    plugin = ["-p", "pytest_localcluster"]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", *plugin, *options, "test_it.py"]
    process = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=4 * DEADLINE
    )
    assert not list(temp.glob("localcluster-*"))
    return Report(process)


def test_a_context_for_each_test_and_one_for_the_session(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
import pytest
from localcluster import SparkContext

ids = []

def test_own(sc):
    assert total(sc) == TOTAL
    ids.append(sc.applicationId)

@pytest.mark.parametrize("_", range(2))
def test_shared(shared_sc, _):
    assert total(shared_sc) == TOTAL
    ids.append(shared_sc.applicationId)

def test_another_own(sc):
    ids.append(sc.applicationId)

def test_shared_again(shared_sc):
    assert total(shared_sc) == TOTAL
    own, shared, same, other = ids
    assert own != shared == same != other

def test_stops_it(shared_sc):
    shared_sc.stop()

def test_gets_a_new_one(shared_sc):
    assert total(shared_sc) == TOTAL
""",
    )
    assert report.counts == {"passed": 7}, report.text


def test_what_a_test_leaves_in_the_shared_context_is_undone(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
import threading, time

def test_leaves(shared_sc):
    shared_sc.setLocalProperty("a", "b")
    shared_sc.setJobGroup("g", "d")
    global kept
    kept = shared_sc.parallelize(range(4), 2).cache()
    kept.count()

def test_sees_nothing(shared_sc):
    assert shared_sc.getLocalProperty("a") is None
    assert shared_sc.getLocalProperty("spark.jobGroup.id") is None
    assert not kept.is_cached

def test_leaves_a_job(shared_sc):
    rdd = shared_sc.parallelize(range(2), 2).map(lambda n: time.sleep(600))
    def job():
        try:
            rdd.count()
        except Exception:
            pass
    threading.Thread(target=job).start()
    while not shared_sc.statusTracker().getActiveJobsIds():
        time.sleep(0.01)

def test_is_not_disturbed(shared_sc):
    assert total(shared_sc) == TOTAL
""",
    )
    assert report.counts == {"passed": 4, "error": 1}, report.text
    assert "the test left jobs running in the shared context" in report.text


def test_the_settings_are_the_users(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
import pytest
from localcluster import SparkConf

@pytest.fixture(scope="session")
def spark_conf():
    return SparkConf().setMaster("local[3]").set("spark.app.name", "mine")

def test_own(sc):
    assert (sc.master, sc.appName) == ("local[3]", "mine")

def test_shared(shared_sc):
    assert (shared_sc.master, shared_sc.appName) == ("local[3]", "mine")
""",
    )
    assert report.counts == {"passed": 2}, report.text


def test_the_marker_runs_a_test_under_each_plan(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
import pytest
from localcluster.events import ExecutorLost, FaultFired
from localcluster.faults import kill

survives = pytest.mark.faults("kill nth=1", kill(stage="reduceByKey"), "raise exception=ValueError nth=2")

@pytest.mark.faults("kill nth=1")
def test_made_in_the_test():
    from localcluster import SparkContext
    with SparkContext() as sc:
        assert total(sc) == TOTAL

@survives
def test_own(sc, events):
    assert total(sc) == TOTAL
    assert len(events(FaultFired)) == 1
    assert len(events(ExecutorLost)) <= 1

@survives
def test_shared(shared_sc):
    assert total(shared_sc) == TOTAL

@pytest.mark.faults("kill partition=77")
def test_proves_nothing(sc):
    assert total(sc) == TOTAL

@pytest.mark.faults([kill(partition=77), "slow seconds=0.1"], may_not_fire=True)
def test_may_not_fire(sc):
    assert total(sc) == TOTAL
""",
    )
    assert report.counts == {"passed": 8, "failed": 1}, report.text
    assert "test_it.py::test_proves_nothing[kill partition=77]" in report.text
    assert "FaultNeverFiredError" in report.text


@pytest.mark.parametrize(
    ("plan", "meant"), [('"kil nth=1"', "did you mean kill"), ('"kill", may_not=True', "did you mean may_not_fire")]
)
def test_a_plan_without_meaning_fails_the_collection(tmp_path: Path, plan: str, meant: str) -> None:
    source = f"""
import pytest

@pytest.mark.faults({plan})
def test_it(sc): ...
"""
    report = run_tests(tmp_path, source)
    assert report.code == 2
    assert meant in report.text


def test_the_fixture_arms_from_the_call_on(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
from localcluster.events import ExecutorLost
from localcluster.faults import kill

def test_it(sc, faults, events):
    assert total(sc) == TOTAL
    assert events(ExecutorLost) == ()
    faults(kill().nth(1))
    assert total(sc) == TOTAL
    assert len(events(ExecutorLost)) == 1

def test_never(sc, faults):
    faults("kill nth=1000")

def test_may_not_fire(sc, faults):
    faults("kill nth=1000", may_not_fire=True)
""",
    )
    assert report.counts == {"passed": 3, "error": 1}, report.text
    assert "FaultNeverFiredError" in report.text


def test_a_ctrl_c_is_told_as_such_and_not_blamed_on_leaks_or_faults(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
def test_fails(sc, faults):
    faults("kill stage=7")
    raise ValueError("of its own")

def test_interrupted(sc, faults):
    faults("kill stage=7")
    raise KeyboardInterrupt
""",
        "--localcluster-leaks",
    )
    assert report.code == pytest.ExitCode.INTERRUPTED, report.text
    assert report.counts == {"failed": 1}, report.text
    assert "FaultNeverFiredError" not in report.text
    assert "left behind" not in report.text


def test_a_shared_context_is_no_leak(tmp_path: Path) -> None:
    source = """
def test_makes_it(shared_sc):
    assert total(shared_sc) == TOTAL

def test_has_it(shared_sc):
    assert total(shared_sc) == TOTAL
"""
    assert run_tests(tmp_path, source, "--localcluster-leaks").counts == {"passed": 2}


def test_what_a_test_leaves_beside_a_shared_context_is_its_leak(tmp_path: Path) -> None:
    source = """
import subprocess, sys, threading
from localcluster.faults import kill
from localcluster.trials import leaks

leaks.GRACE = 0.1

def test_first(shared_sc):
    test_first.file = open(__file__)

def test_process(shared_sc):
    test_process.child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

def test_thread(shared_sc):
    threading.Thread(target=threading.Event().wait, args=[60], daemon=True, name="mine").start()

def test_descriptor(shared_sc):
    test_descriptor.file = open(__file__)

def test_clean(shared_sc):
    with shared_sc.faults(kill(partition=1)):
        assert total(shared_sc) == TOTAL
    shared_sc.parallelize(range(9), 3).cache().count()

def test_without():
    test_without.file = open(__file__)
"""
    report = run_tests(tmp_path, source, "--localcluster-leaks")
    failed = [name for name in report.text.splitlines() if name.startswith("ERROR ")]
    for name in ("first", "process", "thread", "descriptor", "without"):
        assert any(f"::test_{name} - " in line for line in failed), report.text
    assert not any("test_clean" in line for line in failed), report.text


def test_leaks_are_told_where_asked(tmp_path: Path) -> None:
    source = """
import subprocess, sys, threading
from localcluster.trials import leaks

leaks.GRACE = 0.1

def test_process():
    test_process.child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

def test_thread():
    threading.Thread(target=threading.Event().wait, args=[60], daemon=True, name="mine").start()

def test_descriptor():
    test_descriptor.file = open(__file__)

def test_context(request):
    from localcluster import SparkContext
    test_context.sc = SparkContext()
    request.session.config.add_cleanup(test_context.sc.stop)
"""
    assert run_tests(tmp_path, source).counts == {"passed": 4}
    report = run_tests(tmp_path, source, "--localcluster-leaks")
    assert report.counts["error"] >= 4, report.text
    for what in ("process ", "thread 'mine'", "file descriptor ", "localcluster-"):
        assert re.search(f"left behind:\n(?:E?.*\n)*?.*{what}", report.text), what


def test_chaos_draws_a_plan_for_each_test(tmp_path: Path) -> None:
    source = """
def test_own(sc):
    assert total(sc) == TOTAL

def test_shared(shared_sc):
    assert total(shared_sc) == TOTAL

def test_other():
    pass

def test_fails(sc):
    assert total(sc) == 1
"""
    report = run_tests(tmp_path, source, "--localcluster-chaos", "3")
    assert report.counts == {"passed": 3, "failed": 1}, report.text
    assert "localcluster: the plan of faults" in report.text


@pytest.mark.parametrize("options", [(), ("--localcluster-leaks",)])
def test_works_with_several_workers(tmp_path: Path, options: tuple[str, ...]) -> None:
    pytest.importorskip("xdist")
    source = """
import pytest

@pytest.mark.parametrize("_", range(3))
@pytest.mark.faults("kill nth=1", "kill stage=1")
def test_it(sc, _):
    assert total(sc) == TOTAL

@pytest.mark.parametrize("_", range(3))
def test_shared(shared_sc, _):
    assert total(shared_sc) == TOTAL
"""
    report = run_tests(tmp_path, source, "-n", "2", *options)
    assert report.counts == {"passed": 9}, report.text


def test_nothing_is_loaded_before_a_test_asks(tmp_path: Path) -> None:
    report = run_tests(
        tmp_path,
        """
import sys

def test_it():
    assert [name for name in sys.modules if name.startswith(("localcluster", "storage", "protocol"))] == []

def test_assertions_of_ours_are_not_rewritten():
    import localcluster
    assert "Rewriting" not in type(localcluster.__loader__).__name__
""",
    )
    assert report.counts == {"passed": 2}, report.text


def test_tests_beside_a_storage_module_are_told_so(tmp_path: Path) -> None:
    """Where their directory is searched from the start, and where pytest finds it when the package is loaded."""
    (tmp_path / "storage.py").write_text("ANSWER = 42")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "protocol.py").write_text("ANSWER = 42")
    (tmp_path / "tests" / "test_it.py").write_text("import protocol\n\ndef test_it(sc): ...\n")
    for directory, command, module in (
        (tmp_path, ["-m", "pytest"], "storage.py"),
        (tmp_path.parent, ["-c", "import pytest, sys; sys.path.remove(''); sys.exit(pytest.main())"], "protocol.py"),
    ):
        options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_localcluster", "--localcluster-leaks"]
        done = subprocess.run(
            [sys.executable, *command, *options, str(tmp_path / "tests")],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=4 * DEADLINE,
        )
        assert done.returncode != 0
        assert f"{module} is in the place of a package" in done.stdout + done.stderr
        assert "INTERNALERROR" not in done.stdout + done.stderr
