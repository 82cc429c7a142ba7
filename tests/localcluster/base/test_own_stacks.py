"""A process that shows its stacks when it is asked, in a program that asks itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.base.own_stacks import SIGNAL, stack_file

pytestmark = pytest.mark.skipif(SIGNAL is None, reason="the system has no real-time signals")

ROOT = Path(__file__).resolve().parents[3]
START = f"""
import faulthandler, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from localcluster.base.own_stacks import SIGNAL, OwnStacks
def ask():
    os.kill(os.getpid(), SIGNAL)
"""


def run(directory: Path, program: str) -> tuple[int, str, str, str | None]:
    """Exit code, standard output and error, and what is in the file, None when there is none."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + program, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=60)
    file = Path(stack_file(str(directory), "executor 3", process.pid))
    return process.returncode, out, err, file.read_text() if file.exists() else None


def test_a_thread_that_is_asked_writes_its_own_stack_to_the_file_and_nowhere_else(tmp_path: Path) -> None:
    """Its own: faulthandler would read the stacks of threads that go on running, which ends in a segmentation fault."""
    program = """
import threading
def waits(event):
    begun.set(), event.wait()
begun, event = threading.Event(), threading.Event()
thread = threading.Thread(target=waits, args=[event])
thread.start()
begun.wait()
stacks = OwnStacks(sys.argv[1], "executor 3")
ask()
written = os.fstat(stacks.fd).st_size
signal.pthread_kill(thread.ident, SIGNAL)
while os.fstat(stacks.fd).st_size == written:
    pass
print(written)
event.set()
"""
    code, out, err, stacks = run(tmp_path, program)
    assert (code, err) == (0, "")
    assert stacks is not None
    mine, others = stacks[: int(out)], stacks[int(out) :]
    assert [" in ask\n" in mine, " in waits\n" in mine] == [True, False]
    assert [" in ask\n" in others, " in waits\n" in others] == [False, True]


def test_what_a_fork_is_asked_goes_to_standard_error(tmp_path: Path) -> None:
    program = """
OwnStacks(sys.argv[1], "executor 3")
pid = os.fork()
if pid == 0:
    ask()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    code, _, err, stacks = run(tmp_path, program)
    assert (code, stacks) == (0, "")
    assert " in ask\n" in err


@pytest.mark.parametrize(
    "taken",
    ["signal.signal(SIGNAL, lambda *_: print('mine'))", "faulthandler.register(SIGNAL, sys.stdout)"],
    ids=["in Python", "in C"],
)
def test_a_signal_that_the_program_uses_stays_its_own(tmp_path: Path, taken: str) -> None:
    code, out, _, stacks = run(tmp_path, f'{taken}\nOwnStacks(sys.argv[1], "executor 3").close()\nask()')
    assert (code, stacks) == (0, "")
    assert out == "mine\n" or " in ask\n" in out


def test_a_signal_that_the_program_takes_later_is_left_to_it(tmp_path: Path) -> None:
    program = """
stacks = OwnStacks(sys.argv[1], "executor 3")
signal.signal(SIGNAL, lambda *_: print("mine"))
stacks.close()
ask()
OwnStacks(sys.argv[1], "executor 3").close()
ask()
"""
    assert run(tmp_path, program) == (0, "mine\nmine\n", "", "")


def test_a_question_that_comes_too_late_does_not_end_the_process(tmp_path: Path) -> None:
    program = 'stacks = OwnStacks(sys.argv[1], "executor 3")\nstacks.close()\nstacks.close()\nask()\nprint("goes on")'
    code, out, err, stacks = run(tmp_path, program)
    assert (code, out, stacks) == (0, "goes on\n", "")
    assert " in ask\n" in err


def test_who_does_not_own_the_directory_makes_no_file_there(tmp_path: Path) -> None:
    program = """
from localcluster.base.own_stacks import make_stack_file
assert OwnStacks(sys.argv[1], "executor 3", is_owner=False).fd is None
assert os.listdir(sys.argv[1]) == []
make_stack_file(sys.argv[1], "executor 3", os.getpid())
OwnStacks(sys.argv[1], "executor 3", is_owner=False)
ask()
"""
    code, _, err, stacks = run(tmp_path, program)
    assert (code, err) == (0, "")
    assert stacks is not None
    assert " in ask\n" in stacks


def test_one_context_after_the_other_and_one_inside_of_another(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    program = """
OwnStacks(sys.argv[1] + "/inner", "driver").close()
outer = OwnStacks(sys.argv[1], "executor 3")
inner = OwnStacks(sys.argv[1] + "/inner", "driver")
assert inner.fd is None
inner.close()
ask()
"""
    code, _, err, stacks = run(tmp_path, program)
    assert (code, err) == (0, "")
    assert stacks is not None
    assert " in ask\n" in stacks


def test_it_is_no_matter_when_there_is_no_file_to_be_had(tmp_path: Path) -> None:
    program = """
import resource
assert OwnStacks(sys.argv[1] + "/nowhere", "executor 3").fd is None
resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
assert OwnStacks(sys.argv[1], "executor 3").fd is None
"""
    assert run(tmp_path, program) == (0, "", "", None)


def test_programs_that_it_starts_have_the_default_action(tmp_path: Path) -> None:
    program = """
OwnStacks(sys.argv[1], "executor 3")
import subprocess
print(subprocess.run([sys.executable, "-c", f"import os; os.kill(os.getpid(), {SIGNAL})"]).returncode)
"""
    assert run(tmp_path, program) == (0, f"-{SIGNAL}\n", "", "")
