"""Progress bars on the screen of a terminal: beside whatever else is written there, and gone in time.

Tasks wait for a file that the test makes when it has seen the bar.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.terminal import Terminal

START = """
import logging, os, subprocess, sys, threading, time
from localcluster import SparkContext

sc = SparkContext("local[2]")

def until_seen(number):
    while not os.path.exists(f"seen {number}"):
        time.sleep(0.01)  # a poll of what the test does

def job(number, tasks=3):
    return sc.parallelize(range(tasks), tasks).foreach(lambda x: x or until_seen(number))
"""


def start(tmp_path: Path, source: str, **options: object) -> Terminal:
    (tmp_path / "job.py").write_text(START + source)
    return Terminal([sys.executable, "job.py"], cwd=tmp_path, **options)  # type: ignore[arg-type]


def bars(lines: list[str]) -> list[str]:
    return [line for line in lines if re.search(r"\d%\|.*\| \d+/\d+", line)]


def shows(stages: int) -> Callable[[list[str]], bool]:
    return lambda lines: len(bars(lines)) == stages


OUTPUT = """
def talk(x):
    if x == 0:
        print("a task prints")
        print("or complains", file=sys.stderr)
        logging.getLogger("app").warning("or logs")
        subprocess.run(["echo", "or starts a program"])
    until_seen(1)
    if x == 0:
        print("and prints with a bar")
        subprocess.run(["echo", "as its program does"])

print("before")
sc.parallelize(range(2), 2).foreach(talk)
print("between")
print("working... ", end="", flush=True)
job(2)
print("done")
def one_of_two():
    job(3)
    sys.stdout.write("a thread's job is done\\n")  # print writes the end apart, and the other may come between
threads = [threading.Thread(target=one_of_two) for _ in range(2)]
for thread in threads:
    thread.start()
until_seen(3)
sys.stdout.write("the driver prints meanwhile\\n")
for thread in threads:
    thread.join()
print("after")
"""


@pytest.mark.parametrize(("columns", "rows"), [(100, 24), (40, 8)])
def test_whatever_else_is_printed_is_there_and_bars_are_not_once_they_are_over(
    columns: int, rows: int, tmp_path: Path
) -> None:
    with start(tmp_path, OUTPUT, columns=columns, rows=rows) as terminal:
        for number, stages in ((1, 1), (2, 1), (3, 2)):
            terminal.until(shows(stages))
            shown = terminal.lines()
            assert len(shown) >= rows
            assert shown[-stages:] == bars(shown), "at the bottom"
            (tmp_path / f"seen {number}").touch()
        assert terminal.wait() == 0
        output = [re.sub(r"^.* WARNING executor", "WARNING executor", line) for line in terminal.lines()]
    of_tasks = output[1 : output.index("between")]
    logged = "".join(of_tasks).partition("WARNING executor ")[2]
    assert re.match(r"\d app: or logs", logged), of_tasks
    told = [line for line in of_tasks if line in OUTPUT]
    assert told[:2] + told[-3:] == [
        "a task prints",
        "or complains",
        "or starts a program",
        "and prints with a bar",
        "as its program does",
    ]
    rest = output[output.index("between") :]
    assert rest[:2] == ["between", "working... done"]
    assert sorted(rest[2:-1]) == ["a thread's job is done"] * 2 + ["the driver prints meanwhile"]
    assert rest[-1] == "after"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_bars_go_to_standard_error_if_that_is_a_terminal(stream: str, tmp_path: Path) -> None:
    source = f"job(1)\nprint('done', file=sys.{stream})"
    with (tmp_path / stream).open("w") as file, start(tmp_path, source, **{stream: file}) as terminal:
        if stream == "stdout":
            terminal.until(shows(1))
        (tmp_path / "seen 1").touch()
        assert terminal.wait() == 0
        assert terminal.lines() == []
        assert stream == "stdout" or terminal.written == b""
    assert (tmp_path / stream).read_text() == "done\n"


def test_prompts_of_an_interactive_session_stay(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(START)
    environment = {"PYTHON_BASIC_REPL": "1"}
    with Terminal([sys.executable, "-i", "job.py"], cwd=tmp_path, rows=10, environment=environment) as terminal:
        terminal.until(">>>")
        terminal.type("job(1)\n")
        terminal.until(shows(1))
        (tmp_path / "seen 1").touch()
        terminal.until(lambda lines: lines == [">>> job(1)", ">>>"])
        terminal.type("threading.Thread(target=job, args=(2,)).start()\n")
        terminal.until(shows(1))
        terminal.type("input('name? ')\nBob\n")
        terminal.until("'Bob'")
        assert len(bars(terminal.lines())) == 1
        (tmp_path / "seen 2").touch()
        terminal.until(lambda lines: not bars(lines))
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert terminal.lines()[2:] == [">>> input('name? ')", "name? Bob", "'Bob'", ">>>"]


def test_ctrl_c_takes_the_bar_away(tmp_path: Path) -> None:
    with start(tmp_path, "job(1)") as terminal:
        terminal.until(shows(1))
        terminal.type("\x03")
        assert terminal.wait() == -signal.SIGINT
        assert bars(terminal.lines()) == []
        assert terminal.lines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize(("how", "victims"), [("", "driver"), ("-m localcluster run", "process group")])
def test_a_shell_can_use_the_terminal_of_a_driver_that_was_killed(how: str, victims: str, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(START + "print('pid', os.getpid(), flush=True); job(1)")
    shell = ["bash", "--norc", "-i", "-m"]
    with Terminal(shell, cwd=tmp_path, rows=8, columns=120, environment={"PS1": "> "}) as terminal:
        terminal.type(f"{sys.executable} {how} job.py\n")
        terminal.until(shows(1))
        driver = int(re.search(r"^pid (\d+)$", terminal.text(), re.MULTILINE)[1])  # type: ignore[index]
        if victims == "driver":
            os.kill(driver, signal.SIGKILL)
        else:
            os.killpg(os.getpgid(driver), signal.SIGKILL)  # the launcher, too
        terminal.until(lambda lines: not bars(lines))
        terminal.type("seq 20\n")
        terminal.until(lambda lines: lines[-1] == ">" and "20" in lines)
        assert terminal.lines()[-8:] == [*map(str, range(14, 21)), ">"]
        terminal.type("exit\n")
        terminal.wait()
