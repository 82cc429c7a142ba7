"""What forks read of shared memory that their parent has given up. Each test is a program, which forks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A reader is forked, which waits at a pipe before it looks at its views.
HEAD = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from protocol.locations import ShmLocation
from storage import fork_readers
from storage.arena import Arena
from storage.lease import LeaseBook
from storage.segment import SegmentReader

def start(look):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        os.close(writing)
        os.read(reading, 1)
        os._exit(look())
    os.close(reading)
    return pid, writing

def finish(pid, writing):
    os.close(writing)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def descriptors():
    return len(os.listdir("/proc/self/fd"))

arena = Arena(sys.argv[1], "test")
"""


def run(directory: Path, program: str) -> None:
    done = subprocess.run([sys.executable, "-c", HEAD + program, directory], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_extent_is_not_reused_while_a_fork_reads_it(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
old = arena.write([b"o" * 5000])
view = arena.view(old)
before = descriptors()
reader = start(lambda: 7 if bytes(view) == b"o" * 5000 else 1)
del view
arena.free(old)
assert arena.write([b"n" * 5000]) != old
assert finish(*reader) == 7
assert old in [arena.write([b"n" * 5000]), arena.write([b"n" * 5000])]
assert descriptors() == before
arena.check()
""",
    )


def test_a_lease_is_not_given_back_while_a_fork_reads(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
location = arena.write([b"abc"])
segments, leases = SegmentReader(), LeaseBook()
leases.acquire(location)
view = segments.view(location, leases.release)
reader = start(lambda: 7 if bytes(view) == b"abc" else 1)
del view
assert leases.take_releases() == ()
assert finish(*reader) == 7
assert leases.take_releases() == ((location, 1),)
""",
    )


def test_views_that_a_fork_does_not_have_do_not_wait_for_it(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
kept = arena.write([b"kept"])
view = arena.view(kept)
reader = start(lambda: 7)
other = arena.write([b"o" * 5000])
later = arena.view(other)
del later
arena.free(other)
assert arena.write([b"n" * 5000]) == other
assert finish(*reader) == 7
""",
    )


def test_the_forks_of_a_fork_count_and_a_fork_gives_nothing_back(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
calls = []
location = arena.write([b"abc"])
view = arena._rooms[location.segment].segment.view(0, 3, lambda: calls.append(os.getpid()))
grandchild_reading, grandchild_writing = os.pipe()

def fork_again():
    global view
    pid = os.fork()
    if pid == 0:
        os.close(grandchild_writing)
        os.read(grandchild_reading, 1)
        os._exit(0)
    del view
    fork_readers.settle()
    return 7 if calls == [] else 1

reader = start(fork_again)
del view
assert finish(*reader) == 7
fork_readers.settle()
assert calls == []
os.close(grandchild_writing)
fork_readers.close_ended()
while not calls:  # the grandchild is about to end
    fork_readers.settle()
assert calls == [os.getpid()]
""",
    )


def test_a_fork_that_fails_or_finds_no_descriptor_leaves_nothing(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
import resource
location = arena.write([b"abc"])
calls = []
view = arena._rooms[location.segment].segment.view(0, 3, lambda: calls.append(1))
before = descriptors()
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
taken = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
pid = os.fork()
if pid == 0:
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
for fd in taken:
    os.close(fd)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
fork_readers._before()
fork_readers._after_in_parent()  # as after a fork that failed
del view
fork_readers.settle()
assert calls == [1]
assert descriptors() == before
""",
    )


@pytest.mark.parametrize("maps", [False, True])
def test_only_processes_with_views_pay_for_forks(tmp_path: Path, maps: bool) -> None:
    run(
        tmp_path,
        f"""
view = arena.view(arena.write([b"abc"])) if {maps} else None
before = descriptors()
reader = start(lambda: 0)
assert descriptors() == before + 1 + {int(maps)}  # one is the test's own
assert finish(*reader) == 0
fork_readers.close_ended()
assert descriptors() == before
""",
    )
