"""Large blocks of the heap: every reader has them for itself, and mappings are used again without what was written."""

from __future__ import annotations

import errno
import gc
import os
import signal
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from protocol.errors import CorruptBlockError
from storage import anonymous_pages, os_layer, private_pages, serializer
from storage.anonymous_pages import AnonymousPages, in_pages
from storage.managed_buffer import PagesBuffer
from storage.own_values import own_values

SIZE = 3 << 20
ARRAY = np.arange(SIZE // 8)

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files without a name")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    gc.collect()
    assert not anonymous_pages._files


def pages_of(*pieces: Any) -> AnonymousPages:
    pages = AnonymousPages(b"")
    for piece in pieces:
        pages.extend(piece)
    pages.seal(len(pages))
    return pages


def address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def test_what_was_written_is_there() -> None:
    pages = AnonymousPages(b"ab")
    pages.extend(memoryview(b"cd"))
    pages.extend(bytearray(b"ef"))
    assert len(pages) == 6
    pages.seal(5)
    assert bytes(pages.view()) == b"abcde"


def test_nobody_sees_what_another_writes() -> None:
    pages = pages_of(bytes(SIZE))
    one, other = pages.view(), pages.view()
    one[5], other[6] = 1, 2
    assert (one[5], one[6], other[5], other[6]) == (1, 0, 0, 2)
    assert not any(pages.view()[5:7])


@pytest.mark.parametrize("knows_pages", [True, False])
def test_a_mapping_is_used_again_and_shows_the_block_as_it_was(
    monkeypatch: pytest.MonkeyPatch, knows_pages: bool
) -> None:
    pages = pages_of(ARRAY.data.cast("B"))
    if not knows_pages:
        monkeypatch.setattr(os, "pread", lambda *_: b"")
    view = pages.view()
    where = address(view)
    np.frombuffer(view, np.int64)[::1000] = -1
    del view
    again = pages.view()
    assert address(again) == where
    assert (np.frombuffer(again, np.int64) == ARRAY).all()


def test_a_view_that_lives_is_nobody_elses() -> None:
    pages = pages_of(ARRAY.data.cast("B"))
    part = np.frombuffer(pages.view(), np.int64)[10:20]
    others = [np.frombuffer(pages.view(), np.int64) for _ in range(3)]
    for other in others:
        other[:] = 7
    assert (part == ARRAY[10:20]).all()


def test_a_view_outlives_the_block() -> None:
    view = pages_of(ARRAY.data.cast("B")).view()
    gc.collect()
    assert (np.frombuffer(view, np.int64) == ARRAY).all()


def test_nobody_can_change_a_sealed_block() -> None:
    pages = pages_of(bytes(SIZE))
    with pytest.raises(PermissionError):
        os.pwrite(pages._fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(pages._fd, 10)
    with pytest.raises(PermissionError):
        pages.extend(b"x")


def test_damage_is_found_at_the_first_read() -> None:
    data = bytearray(b"".join(serializer.serialize([ARRAY])))
    data[SIZE // 2] ^= 1
    pages = pages_of(data)
    for _ in range(2):
        with pytest.raises(CorruptBlockError):
            own_values(PagesBuffer(pages))


def test_arrays_of_a_block_are_the_readers() -> None:
    pages = pages_of(*serializer.serialize([ARRAY, ARRAY]))
    (one, _), (other, _) = (own_values(PagesBuffer(pages)) for _ in range(2))
    one += 1
    assert (one == ARRAY + 1).all()
    assert (other == ARRAY).all()


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous_pages, "MAX_FILES", 2)
    kept = [in_pages(b""), in_pages(b"")]
    assert in_pages(b"") is None
    kept.pop()
    assert in_pages(b"") is not None


@pytest.mark.parametrize("call", ["anonymous_file", "write_at"])
def test_without_room_there_are_none(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os_layer, call, fails)
    assert in_pages(b"abc") is None


def test_what_cannot_be_mapped_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = pages_of(ARRAY.data.cast("B"))

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "no descriptor")

    monkeypatch.setattr(os_layer, "map_privately", fails)
    views = [pages.view(), pages.view()]
    views[0][0] = 1
    assert bytes(views[1]) == ARRAY.tobytes()


def test_beyond_so_many_mappings_the_bytes_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = pages_of(ARRAY.data.cast("B"))
    monkeypatch.setattr(private_pages, "MAX_LIVE", len(private_pages._living) + 2)
    views = [pages.view() for _ in range(4)]
    assert len(private_pages._living) == private_pages.MAX_LIVE
    views[3][0] = 1
    assert all(bytes(view) == ARRAY.tobytes() for view in views[:3])


class Looks:
    """Of a cycle, so that it is finalised after the callbacks for what it holds."""

    kept: ClassVar[list[memoryview]] = []

    def __init__(self, view: memoryview) -> None:
        self.view, self.itself = view, self

    def __del__(self) -> None:
        self.kept.append(self.view)


def test_what_a_finalizer_still_looks_at_is_nobody_elses() -> None:
    pages = pages_of(ARRAY.data.cast("B"))
    view = pages.view()
    view[:8] = bytes([9]) * 8
    looks = Looks(view)
    del looks, view
    gc.collect()
    other = pages.view()
    other[:8] = bytes([7]) * 8
    (kept,) = Looks.kept
    assert bytes(kept[:8]) == bytes([9]) * 8
    Looks.kept.clear()


def test_written_pages_are_free_soon_after_their_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(os_layer, "take_back", taken.append)
    pages = pages_of(bytes(SIZE))
    pages.view()[0] = 1
    anonymous_pages.take_returned()
    assert len(taken) == 1


def test_a_fork_has_its_own(tmp_path: Any) -> None:
    pages = pages_of(ARRAY.data.cast("B"))
    view = np.frombuffer(pages.view(), np.int64)
    view[0] = 5
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            view[1] = 6
            fresh = np.frombuffer(pages.view(), np.int64)
            assert (view[0], fresh[0], fresh[1]) == (5, 0, 1)
            os._exit(0)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert view[1] == 1
