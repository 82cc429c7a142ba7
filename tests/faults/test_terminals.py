"""What a user's keys and a closed window do to a run in a terminal. How runs end otherwise: ``test_ends_of_runs``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import BUSY_JOB, WORK_FOR_EVER
from tests.support import wait_until
from tests.terminal import Terminal

MODES = pytest.mark.parametrize("library", [False, True], ids=["run", "library"])

# Executors work until they are interrupted, once; then the program goes on.
CATCHES_CTRL_C = f"""
try:
    print("working", flush=True)
    {WORK_FOR_EVER}
except KeyboardInterrupt:
    print("caught one", sc.parallelize(range(8), 8).sum())
print(input("name? "), "has", cached.count())
"""


class RunInTerminal(Terminal):
    """`BUSY_JOB` in a terminal, until it is ready, with a temporary directory of its own."""

    def __init__(self, tmp_path: Path, library: bool, ending: str = WORK_FOR_EVER) -> None:
        self.temp = tmp_path / "tmp"
        self.temp.mkdir()
        job = tmp_path / "job.py"
        job.write_text(BUSY_JOB.format(ending=ending))
        command = [sys.executable] if library else [sys.executable, "-m", "localcluster", "run"]
        super().__init__([*command, job], cwd=tmp_path, environment={"TMPDIR": str(self.temp)})
        try:
            self.until("ready")
            root = psutil.Process(self.process.pid)
            self.family = [root, *root.children(recursive=True)]
            self.names = {path.name for path in self.temp.glob("localcluster-*")}
        except BaseException:
            self.__exit__()
            raise

    def assert_nothing_left(self) -> None:
        wait_until(lambda: not any(map(psutil.Process.is_running, self.family)), "processes left")
        wait_until(lambda: not self._files(), "files left", self._files)

    def _files(self) -> list[str]:
        shared = [name for name in os.listdir("/dev/shm") if "-".join(name.split("-")[:3]) in self.names]
        return [*shared, *map(str, self.temp.glob("localcluster-*"))]


@MODES
def test_one_ctrl_c_ends_a_run(tmp_path: Path, library: bool) -> None:
    with RunInTerminal(tmp_path, library) as terminal:
        terminal.type("\x03")
        assert terminal.wait() == (-signal.SIGINT if library else 130), terminal.text()
        assert terminal.text().count("KeyboardInterrupt" if library else "interrupted") == 1, terminal.text()
        terminal.assert_nothing_left()


@MODES
def test_a_program_that_catches_ctrl_c_goes_on_and_can_ask(tmp_path: Path, library: bool) -> None:
    with RunInTerminal(tmp_path, library, CATCHES_CTRL_C) as terminal:
        terminal.until("working")
        terminal.type("\x03")
        terminal.until("name?")
        terminal.type("Ada\n")
        assert terminal.wait() == 0, terminal.text()
        assert terminal.lines()[-3:] == ["^Ccaught one 28", "name? Ada", "Ada has 1000"]
        terminal.assert_nothing_left()


@MODES
def test_ctrl_backslash_ends_a_run(tmp_path: Path, library: bool) -> None:
    with RunInTerminal(tmp_path, library) as terminal:
        terminal.type("\x1c")
        terminal.wait()
        terminal.assert_nothing_left()


@MODES
def test_a_closed_window_ends_a_run(tmp_path: Path, library: bool) -> None:
    with RunInTerminal(tmp_path, library) as terminal:
        terminal.hang_up()
        terminal.wait()
        terminal.assert_nothing_left()


READS_IN_TASKS = """
import subprocess
def read(how):
    try:
        return how()
    except Exception as error:
        return type(error).__name__
def task(_):
    cat = lambda: subprocess.run(["cat"], capture_output=True).stdout
    return [read(input), read(cat), read(lambda: open("/dev/tty").read()), read(sys.stdin.read)]
print(sc.parallelize(range(1), 1).map(task).first(), input("name? "))
print(sc.parallelize(range(1), 1).map(lambda _: print("a task prints")).count(), input("more? "))
"""


@MODES
def test_tasks_read_nothing_from_the_terminal_and_are_not_stopped(tmp_path: Path, library: bool) -> None:
    with RunInTerminal(tmp_path, library, READS_IN_TASKS) as terminal:
        terminal.until("name?")
        terminal.type("Ada\n")
        terminal.until("more?")
        terminal.type("yes\n")
        assert terminal.wait() == 0, terminal.text()
        lines = terminal.lines()
        assert "['EOFError', b'', 'OSError', ''] Ada" in lines
        assert "a task prints" in lines
        assert "1 yes" in lines
        terminal.assert_nothing_left()
