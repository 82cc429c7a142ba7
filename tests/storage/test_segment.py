from __future__ import annotations

import errno
import gc
import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import OutOfSharedMemoryError, StaleLocationError, StorageError
from protocol.locations import ShmLocation
from storage import os_layer, segment
from storage.segment import PAGE, STRIDE, Segment, SegmentReader
from tests.support import fails

NAME = f"localcluster-test-segment-{os.getpid()}"
SHM = "/dev/shm"


@pytest.fixture
def shared() -> Iterator[Segment]:
    made = Segment.create(SHM, NAME, 4 * STRIDE)
    yield made
    made.unlink()
    made.close()


@pytest.fixture
def reader() -> Iterator[SegmentReader]:
    made = SegmentReader()
    yield made
    made.close()


def mapped_ranges(path: str) -> list[range]:
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.removesuffix(" (deleted)").endswith(path):
            low, high = line.split()[0].split("-")
            found.append(range(int(low, 16), int(high, 16)))
    return found


def test_a_segment_is_private_to_its_user_and_a_number_of_pages(tmp_path: Path) -> None:
    made = Segment.create(str(tmp_path), "s", 100)
    status = (tmp_path / "s").stat()
    assert made.size == status.st_size == PAGE
    assert status.st_mode & 0o777 == 0o600
    made.close()


def test_every_page_is_reserved(shared: Segment) -> None:
    assert os.stat(shared.path).st_blocks * 512 >= shared.size


def test_no_room_is_an_error_that_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os_layer, "reserve", full)
    with pytest.raises(OutOfSharedMemoryError, match="No space left") as caught:
        Segment.create(str(tmp_path), "s", 100)
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_has_no_room(tmp_path: Path) -> None:
    with pytest.raises(OutOfSharedMemoryError):
        Segment.create(str(tmp_path / "absent"), "s", 100)


def test_pages_that_the_system_cannot_have_are_an_error(shared: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(mapping: mmap.mmap, start: int, length: int) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(os_layer, "populate", no_memory)
    with pytest.raises(OutOfSharedMemoryError, match="Cannot allocate"):
        shared.write(shared.view(0, 10), 0, b"0123456789")


@pytest.mark.parametrize(("offset", "length"), [(0, 4 * STRIDE), (64, 1), (STRIDE - 64, 128), (100, 2 * STRIDE + 7)])
def test_what_is_written_is_read_by_another_mapping(
    shared: Segment, reader: SegmentReader, offset: int, length: int
) -> None:
    data = os.urandom(length)
    for _ in range(2):  # fresh pages, then warm ones
        shared.write(shared.view(offset, length), offset, data)
        assert reader.view(ShmLocation(shared.path, offset, length)) == data
        data = data[::-1]


def test_a_large_write_touches_the_pages_up_to_its_end_only_once(
    shared: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    populated: list[tuple[int, int]] = []
    monkeypatch.setattr(os_layer, "populate", lambda mapping, start, length: populated.append((start, length)))
    for offset, length in [(0, 10), (64, STRIDE), (0, STRIDE), (STRIDE * 2 + 64, 5)]:
        shared.write(shared.view(offset, length), offset, bytes(length))
    assert populated == [(0, STRIDE), (STRIDE, STRIDE), (STRIDE * 2, STRIDE)]


def test_readers_get_read_only_views_and_map_a_segment_once(shared: Segment, reader: SegmentReader) -> None:
    views = [reader.view(ShmLocation(shared.path, 64 * number, 10)) for number in range(5)]
    assert all(view.readonly and view.format == "B" and view.nbytes == 10 for view in views)
    with pytest.raises(ValueError, match="read-only"):
        np.frombuffer(views[0], np.uint8)[0] = 1
    assert len(mapped_ranges(shared.path)) == 2  # the owner's own, and the reader's


def test_a_segment_that_the_system_does_not_tell_of_is_not_given_out_and_not_read(
    shared: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared.can_be_found
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "size_of", fails(errno.EIO))
        assert not shared.can_be_found
        with pytest.raises(StorageError, match=rf"{shared.path} cannot be read now: .*Input/output"):
            shared.require(1)
    shared.require(1)


def test_an_empty_view_is_a_view(shared: Segment, reader: SegmentReader) -> None:
    released: list[ShmLocation] = []
    location = ShmLocation(shared.path, shared.size, 0)
    view = reader.view(location, released.append)
    assert view.nbytes == 0
    del view
    assert released == [location]


@pytest.mark.parametrize(("offset", "length"), [(4 * STRIDE, 1), (4 * STRIDE - 1, 2), (-1, 1), (0, -1)])
def test_bytes_outside_the_segment_are_stale(shared: Segment, reader: SegmentReader, offset: int, length: int) -> None:
    with pytest.raises(StaleLocationError):
        reader.view(ShmLocation(shared.path, offset, length))


def test_a_segment_that_is_gone_or_empty_is_stale(reader: SegmentReader, tmp_path: Path) -> None:
    with pytest.raises(StaleLocationError, match="cannot be mapped"):
        reader.view(ShmLocation(str(tmp_path / "gone"), 0, 1))
    (tmp_path / "unfinished").touch()
    with pytest.raises(StaleLocationError, match="cannot be mapped"):
        reader.view(ShmLocation(str(tmp_path / "unfinished"), 0, 1))
    assert reader.mapped == ()


def test_the_release_comes_when_the_last_thing_made_from_a_view_dies(shared: Segment, reader: SegmentReader) -> None:
    released: list[ShmLocation] = []
    location = ShmLocation(shared.path, 128, 800)
    view = reader.view(location, released.append)
    part = view[80:160]
    array = np.frombuffer(part, np.float64)[2:].reshape(2, 4)
    del view, part
    gc.collect()
    assert released == []
    row = array[1]
    del array
    gc.collect()
    assert released == []
    del row
    assert released == [location]


def test_a_view_outlives_name_cache_and_owner(reader: SegmentReader) -> None:
    shared = Segment.create(SHM, NAME, PAGE)
    shared.write(shared.view(0, 5), 0, b"hello")
    view = reader.view(ShmLocation(shared.path, 0, 5))
    shared.unlink()
    shared.close()
    reader.drop(shared.path)
    assert view == b"hello"
    assert mapped_ranges(shared.path)
    del view
    assert mapped_ranges(shared.path) == []
    with pytest.raises(StaleLocationError):
        shared.view(0, 5)


def test_the_number_of_mapped_segments_is_bounded(
    reader: SegmentReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "MAX_MAPPED", 3)
    locations = []
    for number in range(5):
        made = Segment.create(str(tmp_path), str(number), PAGE)
        made.write(made.view(0, 1), 0, bytes([number]))
        made.close()
        locations.append(ShmLocation(made.path, 0, 1))
    views = [reader.view(location) for location in locations]
    assert reader.mapped == tuple(location.segment for location in locations[2:])
    assert [view[0] for view in views] == list(range(5))
    assert reader.view(locations[0])[0] == 0


def test_threads_share_one_mapping(shared: Segment, reader: SegmentReader) -> None:
    threads = [
        threading.Thread(target=lambda: [reader.view(ShmLocation(shared.path, 0, 8)) for _ in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert reader.mapped == (shared.path,)
    assert len(mapped_ranges(shared.path)) == 2
