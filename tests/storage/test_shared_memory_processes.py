"""Shared memory between real processes: what forks, deaths and interpreter exits do to blocks and views.

Each test runs a script in a fresh interpreter, because only a process without threads may fork safely, and pytest's has
some. The script must end by itself, with exit code 0 and nothing on its standard error: that is checked each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREFIX = f"localcluster-test-processes-{os.getpid()}"
DEADLINE = 50  # seconds

PREAMBLE = f"""
import gc, os, pathlib, signal
import multiprocess
import numpy as np
import psutil
from protocol.errors import StaleLocationError, StorageError
from storage.arena import Arena
from storage.block_id import BroadcastBlockId
from storage.lease import LeaseBook
from storage.lease_table import LeaseTable
from storage.segment import SegmentReader
from storage.serializer import deserialize, serialize
from storage.shared_memory_store import SharedMemoryStore
from storage.storage_level import StorageLevel

LEVEL, BLOCK = StorageLevel.OFF_HEAP, BroadcastBlockId(1)
fork = multiprocess.get_context("fork")

def new_arena():
    return Arena("/dev/shm", {PREFIX!r})

def receive(pipe):
    assert pipe.poll({DEADLINE}), "the other process said nothing"
    return pipe.recv()

def lies_in_segment(array, path):
    "Whether the array's bytes are in pages of that file, by its address."
    address = array.__array_interface__["data"][0]
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if low <= address and address + array.nbytes <= high:
            return path in line
    return False

def private_bytes():
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared

def join(process, expected=0):
    process.join({DEADLINE})
    assert process.exitcode == expected, process.exitcode
"""


def run(script: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert [name for name in os.listdir("/dev/shm") if name.startswith(PREFIX)] == []


@pytest.fixture(autouse=True)
def no_segment_stays_even_when_a_script_fails() -> object:
    yield
    for name in os.listdir("/dev/shm"):
        if name.startswith(PREFIX):
            os.unlink(f"/dev/shm/{name}")


def test_another_process_reads_an_array_on_the_shared_pages() -> None:
    run("""
        def child(location):
            before = private_bytes()
            (array,) = deserialize(SegmentReader().view(location))
            assert lies_in_segment(array, location.segment)
            assert array.sum() == 8 << 20
            assert private_bytes() - before < 8 << 20, "a copy would take 64 MiB"
            assert not array.flags.writeable

        arena = new_arena()
        store = SharedMemoryStore(arena, 1 << 30)
        store.put_iterator(BLOCK, iter([np.ones(8 << 20)]), LEVEL)
        process = fork.Process(target=child, args=(store.location(BLOCK),))
        process.start()
        join(process)
        arena.close(unlink=True)
    """)


def test_a_block_outlives_the_process_that_wrote_it() -> None:
    run("""
        def owner(pipe):
            store = SharedMemoryStore(new_arena(), 1 << 30)
            store.put_iterator(BLOCK, iter([np.arange(100_000)]), LEVEL)
            pipe.send(store.location(BLOCK))
            signal.pause()

        here, there = fork.Pipe()
        process = fork.Process(target=owner, args=(there,))
        process.start()
        location = receive(here)
        reader = SegmentReader()
        before = reader.view(location)
        os.kill(process.pid, signal.SIGKILL)
        join(process, -signal.SIGKILL)
        for view in (before, reader.view(location), SegmentReader().view(location)):
            (array,) = deserialize(view)
            assert (array == np.arange(100_000)).all()
        os.unlink(location.segment)
        reader.drop(location.segment)
        assert (array == np.arange(100_000)).all()
        try:
            reader.view(location)
        except StaleLocationError:
            pass
        else:
            raise AssertionError("the segment is gone")
    """)


LEASES = """
def read(pipe):
    "A reader that keeps one array, reports it, and lets it go when it is told to."
    book, reader = LeaseBook(), SegmentReader()
    location = receive(pipe)
    book.acquire(location)
    (array,) = deserialize(reader.view(location, book.release))
    half = array[1000:2000:2]
    del array
    gc.collect()
    pipe.send(book.take_releases())
    receive(pipe)
    assert list(half) == list(range(1000, 2000, 2)), "the extent was used again under the view"
    del half
    pipe.send(book.take_releases())
    receive(pipe)

table = LeaseTable()
arena = new_arena()
store = SharedMemoryStore(arena, 1 << 30, release=lambda block_id, location: table.retire(location, "owner"))
put = lambda block_id, array: store.put_iterator(block_id, iter([array]), LEVEL)
put(BLOCK, np.arange(10_000))
location = store.location(BLOCK)
here, there = fork.Pipe()
process = fork.Process(target=read, args=(there,))
process.start()
there.close()
table.grant(location, "reader")
here.send(location)
assert receive(here) == ()
store.remove(BLOCK)
put(BroadcastBlockId(2), np.zeros(10_000))
assert store.location(BroadcastBlockId(2)) != location
assert arena.statistics().limbo
"""


def test_an_extent_is_used_again_only_when_the_reader_of_another_process_let_go() -> None:
    run(
        LEASES
        + textwrap.dedent("""
        here.send("let go")
        for released, count in receive(here):
            for owner, extent in table.release("reader", released, count):
                arena.released(extent)
        put(BroadcastBlockId(3), np.ones(10_000))
        assert store.location(BroadcastBlockId(3)) == location
        here.send("end")
        join(process)
        table.check(), store.check()
        arena.close(unlink=True)
    """)
    )


def test_a_reader_that_is_killed_has_let_go() -> None:
    run(
        LEASES
        + textwrap.dedent("""
        os.kill(process.pid, signal.SIGKILL)
        join(process, -signal.SIGKILL)
        for owner, extent in table.reader_lost("reader"):
            arena.released(extent)
        put(BroadcastBlockId(3), np.ones(10_000))
        assert store.location(BroadcastBlockId(3)) == location
        table.check(), store.check()
        arena.close(unlink=True)
    """)
    )


def test_a_forked_child_cannot_change_its_parents_arena() -> None:
    run("""
        def child():
            global view
            del view  # a copy of the parent's: neither its pin nor its lease ends here
            assert not released, released
            assert arena.pinned(location)
            for change in (lambda: arena.allocate(1), lambda: arena.free(location), lambda: arena.retire(location)):
                try:
                    change()
                except StorageError as error:
                    assert "belongs to process" in str(error)
                else:
                    raise AssertionError("the child changed the arena")
            arena.close(unlink=True)

        arena = new_arena()
        location = arena.write([b"of the parent"])
        released = []
        view = [arena.view(location), SegmentReader().view(location, released.append)]
        process = fork.Process(target=child)
        process.start()
        join(process)
        assert os.path.exists(location.segment)
        assert arena.pinned(location)
        assert view[0] == b"of the parent"
        del view
        assert not arena.pinned(location)
        assert released == [location]
        arena.close(unlink=True)
    """)


@pytest.mark.parametrize("closed", ["arena.close(unlink=True), reader.close()", "os.unlink(location.segment)"])
def test_views_that_live_at_the_end_of_the_interpreter_make_no_noise(closed: str) -> None:
    run(f"""
        arena, reader, book = new_arena(), SegmentReader(), LeaseBook()
        location = arena.write(serialize([np.arange(1000)]))
        (one,) = deserialize(arena.view(location))
        (two,) = deserialize(reader.view(location, book.release))
        cycle = [arena.view(location)]
        cycle.append(cycle)
        {closed}
    """)


def test_a_segment_cannot_be_mapped_by_other_users() -> None:
    run("""
        arena = new_arena()
        location = arena.write([b"mine"])
        assert os.stat(location.segment).st_mode & 0o077 == 0
        arena.close(unlink=True)
    """)
