"""Running a job as a user does, killing parts of it, and looking for what is left.

Covers starting ``python -m localcluster run`` or a library-mode program in a process group of its own, with a temporary
directory of its own, and the check that nothing remains. Used by the tests of how runs end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.support import DEADLINE, wait_until

ROOT = Path(__file__).resolve().parents[2]

# A job that holds blocks of every kind, says so, and then keeps every executor busy until it is ended.
BUSY_JOB = """
import os, sys, time
from localcluster import SparkContext, StorageLevel

sc = SparkContext(master="local[2]")
cached = sc.parallelize(range(1000), 4).map(lambda x: (x % 7, x)).persist(StorageLevel.OFF_HEAP)
disk = sc.parallelize(range(1000), 2).persist(StorageLevel.DISK_ONLY)
shared = sc.broadcast(list(range(100000)))
assert cached.reduceByKey(lambda a, b: a + b).count() == 7
assert disk.count() == 1000
print("pids", os.getpid(), *sc.parallelize(range(2), 2).barrier().mapPartitions(lambda _: [os.getpid()]).collect())
print("ready", flush=True)
{ending}
"""

# Until something ends it.
WORK_FOR_EVER = "sc.parallelize(range(2), 2).foreach(lambda _: time.sleep(600))"


class Run:
    """A program under test. Use as a context manager: leaving it kills whatever still lives."""

    def __init__(self, tmp_path: Path, source: str, *, library: bool = False, options: Sequence[str] = ()) -> None:
        self.temp = tmp_path / "tmp"
        self.temp.mkdir(exist_ok=True)
        job = tmp_path / "job.py"
        job.write_text(source)
        command = [sys.executable] if library else [sys.executable, "-m", "localcluster", "run", *options]
        environment = os.environ | {"TMPDIR": str(self.temp), "PYTHONPATH": str(ROOT)}
        self.shm_before = set(os.listdir("/dev/shm"))
        self._stderr = open(tmp_path / "stderr", "w+")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            [*command, str(job)],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=signals_of_a_shell,
            cwd=tmp_path,
        )
        self.family: dict[int, psutil.Process] = {}
        self.executors: list[int] = []
        self.driver = 0
        self.output = ""
        self.errors = ""

    def until_ready(self) -> None:
        """Wait for the job's ``ready`` line and note every process of the run."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if match := re.fullmatch(r"pids (\d+) (.*)\n", line):
                self.driver = int(match[1])
                self.executors = sorted(set(map(int, match[2].split())))
            if line == "ready\n":
                self.names_seen()
                break
        else:
            self.wait()
            raise AssertionError(f"the job ended before it was ready: {self.output}{self.errors}")
        root = psutil.Process(self.process.pid)
        self.family = {process.pid: process for process in [root, *root.children(recursive=True)]}

    def until(self, line: str) -> None:
        """Wait for this line of the job's output."""
        assert self.process.stdout is not None
        for printed in self.process.stdout:
            self.output += printed
            if printed == f"{line}\n":
                return
        self.wait()
        raise AssertionError(f"the job ended before it printed {line}: {self.output}{self.errors}")

    @property
    def launcher(self) -> int:
        """In `run` mode the process that was started; in library mode the child of the driver that forks executors."""
        return self.process.pid if self.driver != self.process.pid else psutil.Process(self.executors[0]).ppid()

    def wait(self) -> int:
        """The exit code; `output` and `errors` hold what was printed."""
        assert self.process.stdout is not None
        code = self.process.wait(timeout=DEADLINE)
        self.output += self.process.stdout.read()  # not communicate, which passes over what the loop above has buffered
        self._stderr.seek(0)
        self.errors = self._stderr.read()
        return code

    def assert_nothing_left(self) -> None:
        wait_until(lambda: not self.living(), "processes left", self.living)
        wait_until(lambda: not self.files(), "files left", self.files)

    def living(self) -> list[str]:
        return [str(process) for process in self.family.values() if is_alive(process)]

    def files(self) -> list[str]:
        shared = set(os.listdir("/dev/shm")) - self.shm_before
        mine = [name for name in shared if name.startswith("localcluster-") and self._is_mine(name)]
        return [*mine, *map(str, self.temp.rglob("localcluster-*"))]

    def _is_mine(self, name: str) -> bool:
        """Other tests may run on this machine: a name counts when its run's directory is, or was, in our directory."""
        run = "-".join(name.split("-")[:3])
        return run in self.names_seen()

    def names_seen(self) -> set[str]:
        if not hasattr(self, "_names"):
            self._names: set[str] = set()
        self._names |= {path.name for path in self.temp.glob("localcluster-*")}
        return self._names

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.family.values():
            if is_alive(process):
                process.kill()
        self.process.kill()
        self.process.wait(timeout=DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._stderr.close()


def signals_of_a_shell() -> None:
    """pytest may run under nohup, or in the background of a script: both ignore some."""
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
