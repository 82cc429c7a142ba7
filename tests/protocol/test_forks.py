"""What forks find of their parent's locks, pipes and files. Each fork is made by a program of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(program: str) -> list[str]:
    """The lines that a program prints; a fork in it has ten seconds."""
    head = f"""
import os, signal, sys, threading
sys.path.insert(0, {str(ROOT)!r})
from protocol.forks import *
def fork():
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
    return pid
def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    done = subprocess.run([sys.executable, "-c", head + program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_locks_that_another_thread_holds_are_free() -> None:
    assert run("""
locks = [free_in_forks(kind()) for kind in (threading.Lock, threading.RLock, threading.Condition)]
held, over = threading.Event(), threading.Event()
def hold():
    with locks[0], locks[1], locks[2]:
        held.set()
        over.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
if (pid := fork()) == 0:
    with locks[0], locks[1], locks[2]:
        os._exit(7)
print(wait(pid), locks[0].locked(), locks[1].acquire(blocking=False))
over.set()
thread.join()
""") == ["7 True False"]


def test_only_what_lives_is_disowned_and_only_in_the_fork() -> None:
    assert run("""
class Thing:
    def __init__(self, name):
        self.name = name
        disown_in_forks(self)
    def disown(self):
        print("disowned", self.name, flush=True)
kept, dropped = Thing("kept"), Thing("dropped")
del dropped
if (pid := fork()) == 0:
    os._exit(0)
wait(pid)
""") == ["disowned kept"]


def test_a_fork_neither_reads_nor_writes_the_parent_s_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("0123456789" * 10_000)
    assert run(f"""
with open({str(path)!r}, "rb") as read, open({str(tmp_path / "out")!r}, "w") as written:
    with lost_in_forks(read), lost_in_forks(written):
        start = read.read(10)
        written.write("once")
        if (pid := fork()) == 0:
            while read.read(1000):
                pass
            written.write("never")
            written.close()  # writes the parent's part of the buffer, too
            os._exit(3)
        code = wait(pid)
    print(code, len(start + read.read()))
    if (pid := fork()) == 0:  # out of the body, forks share files as ever
        written.write(", shared")
        written.flush()
        os._exit(0)
    wait(pid)
""") == ["3 100000"]
    assert (tmp_path / "out").read_text() == "once, sharedonce"


def test_strays_are_stopped_where_they_would_change_something() -> None:
    assert run("""
stop_strays()
if (pid := fork()) == 0:
    set_end_of_strays(lambda: os._exit(9))
    set_end_of_strays(None)
    stop_strays()
    set_end_of_strays(lambda: os._exit(9))
    stop_strays()
    os._exit(1)
print(wait(pid))
""") == ["9"]
