"""Buffers: the same bytes through view and stream, wherever they are, and what holds after release."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import StaleLocationError, StorageError
from protocol.locations import ShmLocation
from storage.managed_buffer import FileSegmentBuffer, HeapBuffer, ManagedBuffer, ShmBuffer

PAGE = mmap.ALLOCATIONGRANULARITY
DATA = bytes(range(256)) * 100


def on_heap(tmp_path: Path, data: bytes) -> ManagedBuffer:
    return HeapBuffer(data)


def in_file(tmp_path: Path, data: bytes) -> ManagedBuffer:
    path = tmp_path / "block"
    path.write_bytes(b"before" + data + b"after")
    return FileSegmentBuffer(str(path), len(b"before"), len(data))


def in_shared_memory(tmp_path: Path, data: bytes) -> ManagedBuffer:
    return ShmBuffer(memoryview(bytearray(data)), ShmLocation("/nowhere", 0, len(data)))


every_kind = pytest.mark.parametrize("make", [on_heap, in_file, in_shared_memory])
Maker = Callable[[Path, bytes], ManagedBuffer]


@every_kind
@pytest.mark.parametrize("data", [DATA, b"x", b""], ids=["long", "one byte", "empty"])
def test_view_and_stream_give_the_bytes(make: Maker, data: bytes, tmp_path: Path) -> None:
    buffer = make(tmp_path, data)
    assert buffer.size == len(data)
    view = buffer.memoryview()
    assert (view.readonly, view.format, view.nbytes) == (True, "B", len(data))
    assert view == data
    with buffer.open() as stream:
        assert stream.read() == data


@every_kind
def test_a_stream_reads_lines_seeks_and_ends(make: Maker, tmp_path: Path) -> None:
    stream = make(tmp_path, b"one\ntwo\nthree").open()
    assert stream.readline() == b"one\n"
    assert stream.read(2) == b"tw"
    assert stream.seek(-5, io.SEEK_END) == 8
    assert stream.read(100) == b"three"
    assert stream.read(1) == b""
    assert stream.seek(100) == 100
    assert stream.read() == b""
    with pytest.raises(ValueError, match="-1"):
        stream.seek(-1)


@every_kind
def test_views_and_streams_outlive_the_release_and_the_buffer_does_not(make: Maker, tmp_path: Path) -> None:
    buffer = make(tmp_path, DATA)
    view, stream = buffer.memoryview(), buffer.open()
    buffer.release()
    buffer.release()
    assert view == DATA
    assert stream.read() == DATA
    for use in (buffer.memoryview, buffer.open):
        with pytest.raises(StorageError, match="release"):
            use()


@every_kind
def test_a_view_that_is_released_leaves_the_others_good(make: Maker, tmp_path: Path) -> None:
    buffer = make(tmp_path, DATA)
    with buffer.memoryview() as first, buffer.memoryview() as second:
        assert first == second == DATA
    with buffer.open() as stream:
        assert stream.read() == buffer.memoryview() == DATA


def test_a_view_of_other_items_becomes_bytes() -> None:
    assert HeapBuffer(memoryview(DATA).cast("I")).memoryview() == DATA


def test_the_view_is_no_copy() -> None:
    memory = bytearray(b"abc")
    view = ShmBuffer(memoryview(memory), ShmLocation("/nowhere", 0, len(memory))).memoryview()
    memory[0] = ord("X")
    assert bytes(view) == b"Xbc"


@pytest.mark.parametrize("offset", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 17])
@pytest.mark.parametrize("length", [0, 1, PAGE - 1, PAGE, 2 * PAGE + 5])
def test_a_file_segment_may_start_and_end_anywhere(offset: int, length: int, tmp_path: Path) -> None:
    content = os.urandom(6 * PAGE)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert FileSegmentBuffer(str(path), offset, length).memoryview() == content[offset : offset + length]


def test_a_file_segment_may_end_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert FileSegmentBuffer(str(path), len(DATA) - 3, 3).memoryview() == DATA[-3:]
    assert FileSegmentBuffer(str(path), len(DATA), 0).memoryview() == b""


@pytest.mark.parametrize("length", [0, 10])
def test_a_file_that_is_gone_is_a_stale_location(length: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    for path in (tmp_path / "gone", tmp_path / "gone" / "file", tmp_path / "file" / "below"):
        with pytest.raises(StaleLocationError, match="gone"):
            FileSegmentBuffer(str(path), 0, length)


@pytest.mark.parametrize(("offset", "length"), [(0, 101), (100, 1), (99, 2), (101, 0), (5000, 10), (-1, 5), (5, -1)])
def test_a_segment_outside_its_file_is_a_stale_location(offset: int, length: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    with pytest.raises(StaleLocationError, match="100 bytes"):
        FileSegmentBuffer(str(path), offset, length)


def test_a_file_that_cannot_be_mapped_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot"):
        FileSegmentBuffer(str(tmp_path), 0, 10)  # a directory opens, but has no pages


def test_a_mapped_file_can_be_unlinked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    buffer = FileSegmentBuffer(str(path), 10, 100)
    path.unlink()
    assert buffer.memoryview() == DATA[10:110]


def test_a_dropped_file_segment_leaves_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    before = os.listdir("/proc/self/fd")
    for _ in range(50):
        FileSegmentBuffer(str(path), 1, 10).release()
    assert len(os.listdir("/proc/self/fd")) == len(before)
