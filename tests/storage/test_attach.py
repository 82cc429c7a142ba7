"""Bytes of a run read from outside of it: the run keeps its files, and the reader what it has mapped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import StaleLocationError
from protocol.locations import FileLocation, SharedLocation, ShmLocation
from storage.attach import attach
from storage.segment import PAGE, Segment
from storage.serializer import deserialize
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, block, locations, values

ROOT = Path(__file__).resolve().parents[2]

READER = """
import sys
from protocol.locations import FileLocation, ShmLocation
from storage.attach import attach
from storage.serializer import deserialize

kind, path, offset, length = sys.argv[1:]
where = {"ShmLocation": ShmLocation, "FileLocation": FileLocation}[kind](path, int(offset), int(length))
print(*deserialize(attach(where)), len(attach(path)) >= len(attach(where)))
"""


def read_from_outside(where: SharedLocation) -> str:
    """What a Python process of its own prints, all of whose helpers have ended, too: they hold its error stream."""
    place = (where.path, str(where.offset), str(where.length))
    command = [sys.executable, "-c", READER, type(where).__name__, *place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("level", ["OFF_HEAP", "DISK_ONLY"])
def test_another_process_reads_a_block_and_leaves_it_where_it_is(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster("A", "B")
    cluster.managers["A"].put_iterator(block(1), ["some", "values"], StorageLevel.from_string(level))
    ((_, where),) = locations(cluster, block(1))
    assert isinstance(where, ShmLocation | FileLocation)
    for _ in range(2):
        assert read_from_outside(where) == "some values True\n"
    assert values(cluster.managers["B"], block(1)) == ["some", "values"]


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment.create("/dev/shm", f"localcluster-attach-{os.getpid()}", PAGE)
    segment.view(100, 5)[:] = b"bytes"
    yield segment
    segment.unlink()
    segment.close()


def test_a_segment_goes_by_path_or_name_and_its_parts_by_location(segment: Segment) -> None:
    for where in (segment.path, os.path.basename(segment.path)):
        view = attach(where)
        assert (len(view), bytes(view[100:105])) == (PAGE, b"bytes")
    assert attach(ShmLocation(segment.path, 102, 3)) == b"tes"
    assert attach(FileLocation(segment.path, 102, 3)) == b"tes"


def test_views_are_read_only_see_what_is_written_and_outlive_the_file(segment: Segment) -> None:
    array = np.frombuffer(attach(segment.path), np.uint8)[100:105]
    assert not array.flags.writeable
    segment.view(100, 5)[:] = b"other"
    segment.unlink()
    assert bytes(array) == b"other"


def test_what_is_not_there_is_a_stale_location(segment: Segment) -> None:
    for where in ("no-such-segment", "/no/such/file", ShmLocation(segment.path, PAGE, 1), FileLocation("/none", 0, 1)):
        with pytest.raises(StaleLocationError):
            attach(where)


def test_arrays_of_a_block_are_read_in_place(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("A")
    cluster.managers["A"].put_single(block(1), np.arange(1000), StorageLevel.OFF_HEAP)
    ((_, where),) = locations(cluster, block(1))
    assert isinstance(where, ShmLocation)
    (array,) = deserialize(attach(where))
    assert array.sum() == 499_500
    assert not array.flags.writeable
