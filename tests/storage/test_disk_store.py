"""The store on disk: the conformance suite, then what only files do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import BlockPutError, StaleLocationError, StorageError
from storage import os_layer
from storage.block_id import RDDBlockId
from storage.disk_block_manager import DiskBlockManager
from storage.disk_store import DiskStore
from storage.managed_buffer import FileSegmentBuffer, HeapBuffer
from storage.storage_level import StorageLevel
from tests.storage.store_conformance import CHECKS, Check, assert_absent, put_values, values_of

BLOCK = RDDBlockId(1, 2)
LEVEL = StorageLevel.DISK_ONLY


@pytest.fixture
def files(tmp_path: Path) -> DiskBlockManager:
    roots = [tmp_path / "disk0", tmp_path / "disk1"]
    for root in roots:
        root.mkdir()
    return DiskBlockManager([str(root) for root in roots], "0")


@pytest.fixture
def store(files: DiskBlockManager) -> Iterator[DiskStore]:
    store = DiskStore(files)
    yield store
    store.check()


def all_files(tmp_path: Path) -> list[Path]:
    """What there is, those written aside included."""
    return [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_disk_store_conforms(check: Check, store: DiskStore, tmp_path: Path) -> None:
    check(store, LEVEL)
    store.clear()
    assert all_files(tmp_path) == []


def test_a_location_leads_any_process_to_the_bytes(store: DiskStore) -> None:
    data = os.urandom(10_000)
    store.put_bytes(BLOCK, HeapBuffer(data), LEVEL)
    location = store.location(BLOCK)
    assert FileSegmentBuffer(location.path, location.offset, location.length).memoryview() == data
    store.remove(BLOCK)
    assert store.location(BLOCK) is None


def test_the_file_of_a_removed_block_is_gone(store: DiskStore, files: DiskBlockManager) -> None:
    put_values(store, BLOCK, [1], LEVEL)
    assert os.path.exists(files.get_file(BLOCK))
    store.remove(BLOCK)
    assert not os.path.exists(files.get_file(BLOCK))


def test_a_put_streams(store: DiskStore, files: DiskBlockManager, tmp_path: Path) -> None:
    """The iterator of a large block sees that what it gave before has reached the file."""
    largest_gap = 0

    def watched() -> Iterator[bytes]:
        nonlocal largest_gap
        for number in range(100):
            written = sum(path.stat().st_size for path in all_files(tmp_path))
            largest_gap = max(largest_gap, number * 300_000 - written)
            yield bytes([number]) * 300_000

    assert store.put_iterator(BLOCK, watched(), LEVEL).stored
    assert largest_gap <= 300_000


# --- a disk that fails ---------------------------------------------------------------------------------------------


def fails(error: int) -> Callable[..., int]:
    def call(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    return call


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("create", errno.EMFILE),
        ("make_directory", errno.ENOSPC),
        ("rename", errno.EIO),
    ],
)
def test_a_failed_write_leaves_no_file(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, error: int
) -> None:
    monkeypatch.setattr(os_layer, call, fails(error))
    for put in (
        lambda: store.put_iterator(BLOCK, iter([1]), LEVEL),
        lambda: store.put_bytes(BLOCK, HeapBuffer(b"bytes"), LEVEL),
    ):
        with pytest.raises(BlockPutError, match=os.strerror(error)):
            put()
        assert all_files(tmp_path) == []
    monkeypatch.undo()
    assert_absent(store, BLOCK)
    put_values(store, BLOCK, [1], LEVEL)


def test_a_disk_that_fills_in_the_middle_of_a_block_leaves_no_file(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = os_layer.write
    room = 1_000_000

    def filling(fd: int, data: memoryview) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(fd, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os_layer, "write", filling)
    with pytest.raises(BlockPutError, match="No space left"):
        store.put_iterator(BLOCK, (bytes(100_000) for _ in range(50)), LEVEL)
    assert room == 0
    assert all_files(tmp_path) == []


def test_short_writes_are_finished(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os_layer.write
    monkeypatch.setattr(os_layer, "write", lambda fd, data: real(fd, data[:7]))
    put_values(store, BLOCK, ["a text of some length", b"bytes"], LEVEL)
    assert values_of(store, BLOCK) == ["a text of some length", b"bytes"]


def test_a_system_that_takes_no_bytes_is_an_error(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_layer, "write", lambda fd, data: 0)
    with pytest.raises(BlockPutError, match="no bytes"):
        store.put_iterator(BLOCK, iter([1]), LEVEL)


@pytest.mark.parametrize("call", ["create", "write", "close", "rename"])
def test_an_error_names_the_block_and_where_it_was_to_be(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os_layer, call)

    def failing(*arguments: Any) -> None:
        if call == "close":
            real(*arguments)
        raise OSError(errno.EIO, os.strerror(errno.EIO), *arguments[:1] if isinstance(arguments[0], str) else ())

    monkeypatch.setattr(os_layer, call, failing)
    with pytest.raises(BlockPutError, match=rf"{BLOCK}.*Input/output") as caught:
        put_values(store, BLOCK, [1], LEVEL)
    assert str(tmp_path) in str(caught.value)
    assert all_files(tmp_path) == []


def test_a_block_that_cannot_be_removed_stays(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put_values(store, BLOCK, [1], LEVEL)
    monkeypatch.setattr(os_layer, "unlink", fails(errno.EIO))
    with pytest.raises(StorageError, match="Input/output"):
        store.remove(BLOCK)
    monkeypatch.undo()
    assert values_of(store, BLOCK) == [1]
    assert store.remove(BLOCK)


def test_all_others_are_dropped_when_one_cannot_be(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = [RDDBlockId(1, number) for number in range(3)]
    for block_id in blocks:
        put_values(store, block_id, [1], LEVEL)
    real = os_layer.unlink
    answers = iter([real, fails(errno.EIO), real])
    monkeypatch.setattr(os_layer, "unlink", lambda path: next(answers)(path))
    store.clear()
    assert [store.contains(block_id) for block_id in blocks] == [False, True, False]
    assert f"cannot remove block {blocks[1]}: [Errno 5]" in caplog.text


def test_a_lost_or_shortened_file_is_a_stale_location_and_fails_the_check(files: DiskBlockManager) -> None:
    store = DiskStore(files)
    put_values(store, BLOCK, list(range(1000)), LEVEL)
    path = store.location(BLOCK).path
    os.truncate(path, 10)
    with pytest.raises(StaleLocationError):
        store.get_values(BLOCK)
    with pytest.raises(AssertionError, match="bytes in the books"):
        store.check()
    os.unlink(path)
    with pytest.raises(StaleLocationError):
        store.get_values(BLOCK)
    with pytest.raises(AssertionError, match="does not exist"):
        store.check()
    assert store.remove(BLOCK)
    store.check()


def test_a_file_that_a_dead_process_left_is_no_block(store: DiskStore, files: DiskBlockManager) -> None:
    Path(files.get_file(BLOCK)).write_bytes(b"left")
    assert_absent(store, BLOCK)
    put_values(store, BLOCK, [1], LEVEL)
    assert values_of(store, BLOCK) == [1]
