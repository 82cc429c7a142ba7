"""The door to the operating system: what it promises beyond the plain calls."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import os_layer
from tests.support import fails


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "file")


def test_a_file_is_created_once_private_and_never_through_a_symlink(path: str, tmp_path: Path) -> None:
    os_layer.close(os_layer.create(path))
    assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        os_layer.create(path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        os_layer.create(str(link))
    with pytest.raises(OSError, match="symbolic links"):
        os_layer.open_existing(str(link))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), step=st.integers(1, 50))
def test_all_is_written_however_short_the_writes(
    path: str, monkeypatch: pytest.MonkeyPatch, data: bytes, step: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "write", lambda fd, part: os.write(fd, part[:step]))
        fd = os_layer.create(path)
        assert os_layer.write_all(fd, data) == len(data)
        os_layer.close(fd)
    assert os_layer.read_all(path) == data
    assert os_layer.unlink(path)


def test_output_is_written_whole_however_short_the_writes_with_the_umask_s_permissions(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(path).write_bytes(b"what was there, which is longer" * 10_000)
    data = os.urandom(150_000)
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "write", lambda fd, part: os.write(fd, part[:7000]))
        with os_layer.open_output(path) as file:
            for start in range(0, len(data), 999):
                file.write(data[start : start + 999])
            assert file.tell() == len(data)
    assert Path(path).read_bytes() == data
    old = os.umask(0o027)
    try:
        os_layer.open_output(path + ".new").close()
    finally:
        os.umask(old)
    assert os.stat(path + ".new").st_mode & 0o777 == 0o640


def test_what_was_only_read_is_let_go_whatever_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (errno.EINTR, errno.EIO):
        with monkeypatch.context() as patched:
            patched.setattr(os, "close", fails(number))
            os_layer.let_go(5)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os_layer.let_go(1 << 20)


def test_output_that_cannot_be_written_is_an_error_when_it_is_closed(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = os_layer.open_output(path)
    file.write(b"in the buffer")
    monkeypatch.setattr(os_layer, "write", fails(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        file.close()
    assert file.closed


def test_bytes_of_any_item_size_are_written(path: str) -> None:
    fd = os_layer.create(path)
    assert os_layer.write_all(fd, memoryview(bytes(range(16))).cast("d")) == 16
    os_layer.close(fd)
    assert os_layer.read_all(path) == bytes(range(16))


def test_reserved_pages_are_backed_and_writable_through_a_mapping(path: str) -> None:
    fd = os_layer.create(path)
    size = 4 * mmap.PAGESIZE
    os_layer.reserve(fd, size)
    assert os_layer.file_size(fd) == size
    assert os.stat(path).st_blocks * 512 >= size
    mapping = os_layer.map_file(fd, size, writable=True)
    os_layer.populate(mapping, mmap.PAGESIZE, 2 * mmap.PAGESIZE)
    mapping[:5] = b"bytes"
    os_layer.close(fd)
    os_layer.unlink(path)
    assert mapping[:5] == b"bytes"
    mapping.close()


def test_without_posix_fallocate_zeroes_are_written(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    fd = os_layer.create(path)
    os_layer.reserve(fd, (1 << 20) + 5)
    assert os_layer.file_size(fd) == (1 << 20) + 5
    os_layer.reserve(fd, 10)  # shorter than it is: nothing to do
    os_layer.close(fd)
    assert os.stat(path).st_blocks * 512 >= 1 << 20


def test_a_mapping_for_reading_cannot_be_written(path: str) -> None:
    Path(path).write_bytes(bytes(10))
    fd = os_layer.open_existing(path)
    mapping = os_layer.map_file(fd, 10)
    os_layer.close(fd)
    assert memoryview(mapping).readonly
    with pytest.raises(TypeError):
        mapping[0] = 1
    mapping.close()


@pytest.mark.parametrize(("error", "passes"), [(errno.EINVAL, False), (errno.ENOMEM, True)])
def test_populating_is_left_out_by_old_kernels_and_fails_without_memory(error: int, passes: bool) -> None:
    class Mapping:
        def madvise(self, *_: int) -> None:
            raise OSError(error, os.strerror(error))

    if passes:
        with pytest.raises(OSError, match=os.strerror(error)):
            os_layer.populate(Mapping(), 0, 1)  # type: ignore[arg-type]
    else:
        os_layer.populate(Mapping(), 0, 1)  # type: ignore[arg-type]


def test_directories_are_made_as_far_as_they_are_missing(tmp_path: Path) -> None:
    for _ in range(2):
        os_layer.make_directories(str(tmp_path / "a" / "b"))
    assert os_layer.list_directory(str(tmp_path / "a")) == ["b"]
    with pytest.raises(FileNotFoundError):
        os_layer.list_directory(str(tmp_path / "none"))


def test_what_cannot_be_removed_of_a_tree_does_not_keep_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree" / "kept").mkdir(parents=True)
    (tmp_path / "tree" / "file").write_bytes(b"")
    real = os.rmdir

    def refuse(name: str, *, dir_fd: int | None = None) -> None:
        if os.path.basename(name) == "kept":
            raise OSError(errno.EBUSY, "Device or resource busy")
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refuse)
    os_layer.remove_what_can_be(str(tmp_path / "tree"))
    assert os_layer.list_directory(str(tmp_path / "tree")) == ["kept"]


def test_removing_what_is_absent_says_so(path: str) -> None:
    assert os_layer.unlink(path) is False
    assert os_layer.names_in(path) == []
    assert os_layer.own_status(path) is None
    Path(path).write_bytes(b"")
    assert os_layer.names_in(path) == []  # no directory
    assert os_layer.own_status(path) is not None
    assert os_layer.unlink(path) is True


def test_a_tree_is_removed_but_not_what_its_symlinks_lead_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "link").symlink_to(kept)
    link = tmp_path / "link"
    link.symlink_to(kept)
    for path in (tree, link):
        os_layer.remove_tree(str(path))
        assert not os.path.lexists(path)
    assert (kept / "file").read_text() == "kept"


def test_a_lock_is_held_by_one_description_at_a_time(path: str) -> None:
    first, second = os_layer.create(path), os_layer.open_existing(path)
    assert os_layer.lock(first, wait=False)
    assert not os_layer.lock(second, wait=False)
    os_layer.close(first)
    assert os_layer.lock(second, wait=True)
    os_layer.close(second)


def test_a_private_mapping_is_writable_and_changes_nothing_else(path: str) -> None:
    Path(path).write_bytes(b"a" * 10_000)
    fd = os_layer.open_existing(path)
    mapping, other = os_layer.map_privately(fd, 10_000), os_layer.map_privately(fd, 10_000)
    os_layer.let_go(fd)
    mapping[:3] = b"new"
    assert (mapping[:4], other[:4], Path(path).read_bytes()[:4]) == (b"newa", b"aaaa", b"aaaa")
    mapping.close()
    other.close()


def test_a_private_mapping_has_the_lock_as_long_as_it_lives(path: str) -> None:
    Path(path).write_bytes(b"a")
    fd = os_layer.open_existing(path)
    assert os_layer.lock_shared(fd)
    mapping = os_layer.map_privately(fd, 1)
    os_layer.let_go(fd)
    other = os_layer.open_existing(path)
    assert not os_layer.lock(other, wait=False)
    assert os_layer.lock_shared(other)
    os_layer.unlock(other)
    mapping.close()
    assert os_layer.lock(other, wait=False)
    third = os_layer.open_existing(path)
    assert not os_layer.lock_shared(third)
    for each in (other, third):
        os_layer.let_go(each)


def test_a_file_is_copied_with_its_times_and_permissions(path: str) -> None:
    Path(path).write_bytes(b"bytes")
    os.chmod(path, 0o400)
    os.utime(path, (5, 7))
    os_layer.copy_file(path, path + "2")
    status = os.stat(path + "2")
    assert (Path(path + "2").read_bytes(), status.st_mode & 0o777, status.st_mtime) == (b"bytes", 0o400, 7)


def test_a_directory_is_scanned_and_one_that_is_not_there_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").mkdir()
    assert sorted((entry.name, entry.is_dir()) for entry in os_layer.scan(str(tmp_path))) == [("a", False), ("b", True)]
    assert os_layer.scan(str(tmp_path / "none")) == []
    assert os_layer.scan(str(tmp_path / "a")) == []


def test_the_space_of_a_file_system(tmp_path: Path) -> None:
    size, free = os_layer.space_at(str(tmp_path))
    assert size > free > 0


def test_a_private_mapping_tells_whether_it_has_views(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    fd = os_layer.open_existing(str(path))
    mapping = os_layer.map_privately(fd, 10_000)
    os_layer.close(fd)
    view = memoryview(mapping)
    assert os_layer.is_viewed(mapping)
    view[0] = 1
    del view
    assert not os_layer.is_viewed(mapping)
    os_layer.take_back(mapping)
    assert mapping[0] == 0
