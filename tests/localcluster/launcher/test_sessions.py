"""Ending sessions of real processes, and a janitor that finds out what is left to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from multiprocess.connection import Pipe

from localcluster.launcher.janitor import DIRECTORY, END, EXECUTOR, GONE, Leavings, clean_up, listen
from localcluster.launcher.sessions import end_sessions
from storage.scratch import Scratch
from tests.support import DEADLINE, wait_until

# A child, one with a process group of its own, an orphan; and one that leaves the session.
LEADER = """
sleep 7779 & echo $!
timeout 7779 sleep 7779 & echo $!
(sleep 7779 & echo $!)
setsid sleep 7779 & echo $!
wait
"""


class Session:
    def __init__(self) -> None:
        self.leader = subprocess.Popen(["sh", "-c", LEADER], stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.leader.stdout is not None
        pids = [int(self.leader.stdout.readline()) for _ in range(4)]
        *self.members, self.gone_away = map(psutil.Process, pids)
        wait_until(lambda: os.getsid(self.gone_away.pid) == self.gone_away.pid, "setsid has not happened")
        wait_until(lambda: len(self.members[1].children()) == 1, "timeout has started nothing")
        self.members += self.members[1].children()

    def is_alive(self) -> bool:
        return any(map(lives, self.members)) or self.leader.poll() is None

    def kill_leader(self) -> None:
        self.leader.kill()
        self.leader.wait(DEADLINE)

    def close(self) -> None:
        for process in [*self.members, self.gone_away]:
            if lives(process):
                process.kill()
        self.leader.kill()
        self.leader.communicate()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return False


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.mark.parametrize("leader_is_dead", [False, True])
def test_all_of_a_session_end_and_who_left_it_does_not(session: Session, leader_is_dead: bool) -> None:
    if leader_is_dead:
        session.kill_leader()
    end_sessions([session.leader.pid])
    wait_until(lambda: not session.is_alive(), "the session lives")
    assert lives(session.gone_away)


LEAVES_SHARED_MEMORY = """
import time
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(create=True, size=100)
print(memory.name, resource_tracker._resource_tracker._pid, flush=True)
time.sleep(7779)  # until it is killed
"""


def test_a_resource_tracker_removes_what_the_others_left_and_ends() -> None:
    command = [sys.executable, "-c", LEAVES_SHARED_MEMORY]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        name, pid = leader.stdout.readline().split()
        tracker = psutil.Process(int(pid))
        wait_until(lambda: len(tracker.cmdline()) > 1, "the tracker has not begun")  # its exec is under way
        assert os.path.exists(f"/dev/shm/{name}")
        end_sessions([leader.pid])
        wait_until(lambda: not lives(tracker), "the tracker lives")
        assert not os.path.exists(f"/dev/shm/{name}")
        assert leader.wait(DEADLINE) == -signal.SIGKILL


def test_other_sessions_are_left_alone(session: Session) -> None:
    end_sessions([])
    end_sessions([session.gone_away.pid])
    wait_until(lambda: not lives(session.gone_away), "the other session lives")
    assert all(map(lives, session.members))


def test_a_janitor_knows_directories_and_the_executors_that_did_not_end() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        for what, value in [(DIRECTORY, "/a"), (EXECUTOR, os.getpid()), (EXECUTOR, 1 << 30), (EXECUTOR, 7), (GONE, 7)]:
            ours.send((what, value))
        ours.send((END, 0))
        assert listen(theirs) == Leavings(["/a"], {os.getpid(): psutil.Process(), 1 << 30: None}, is_good_end=True)


def test_the_end_of_its_pipe_is_the_end_for_a_janitor() -> None:
    ours, theirs = Pipe()
    with theirs:
        ours.send((DIRECTORY, "/a"))
        ours.close()
        assert listen(theirs) == Leavings(["/a"])


@pytest.mark.parametrize("leader_is_dead", [False, True])
def test_a_janitor_ends_sessions_and_removes_directories(
    session: Session, tmp_path: Path, leader_is_dead: bool
) -> None:
    scratch = Scratch.create(parent=str(tmp_path))
    scratch.disown()
    leader = psutil.Process(session.leader.pid)
    if leader_is_dead:
        session.kill_leader()
    clean_up(Leavings([str(tmp_path / "never-made"), scratch.primary], {leader.pid: leader}))
    wait_until(lambda: not session.is_alive(), "the session lives")
    assert list(tmp_path.iterdir()) == []


def test_a_janitor_spares_the_session_of_a_process_that_has_the_number_of_a_dead_executor(session: Session) -> None:
    with subprocess.Popen(["true"]) as program:
        executor = psutil.Process(program.pid)
    clean_up(Leavings([], {session.leader.pid: executor}))
    assert session.is_alive()
    assert all(map(lives, session.members))
