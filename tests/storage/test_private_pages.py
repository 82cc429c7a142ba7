"""Private views of parts of files, and values of blocks that are read through them."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.locations import ShmLocation
from storage import os_layer, private_pages, serializer
from storage.managed_buffer import FileSegmentBuffer, HeapBuffer, ManagedBuffer, ShmBuffer
from storage.own_values import own_values, private_of
from storage.private_pages import map_part

ARRAY = np.arange(1 << 18)
BLOCK = b"".join(serializer.serialize([ARRAY, "x"]))


class Held:
    pass


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "file").write_bytes(b"before" + BLOCK)
    return str(tmp_path / "file")


def test_what_hangs_on_a_view_goes_with_the_last_array(path: str) -> None:
    held = Held()
    gone = weakref.ref(held)
    view = map_part(path, 6, len(BLOCK), held)
    del held
    assert view is not None
    array = np.frombuffer(view, np.uint8)[5:10]
    del view
    assert gone() is not None
    assert bytes(array) == BLOCK[5:10]
    del array
    gc.collect()
    assert gone() is None


def test_the_file_stays_as_it_was(path: str) -> None:
    view = map_part(path, 6, len(BLOCK), None)
    assert view is not None
    view[:] = bytes(len(view))
    assert Path(path).read_bytes() == b"before" + BLOCK


def test_there_is_none_of_a_file_without_a_name(path: str) -> None:
    os.unlink(path)
    assert map_part(path, 6, len(BLOCK), None) is None


@pytest.mark.parametrize("call", ["open_existing", "map_privately"])
def test_there_is_none_when_the_system_is_short_of_something(
    path: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os_layer, call, fails)
    assert map_part(path, 6, len(BLOCK), None) is None


def test_only_so_many_live(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_pages, "MAX_LIVE", len(private_pages._living) + 2)
    views = [map_part(path, 6, len(BLOCK), None) for _ in range(3)]
    assert [view is None for view in views] == [False, False, True]
    views.pop(0)
    assert map_part(path, 6, len(BLOCK), None) is not None


def shared(path: str) -> ManagedBuffer:
    with open(path, "rb") as file:
        return ShmBuffer(memoryview(file.read())[6:], ShmLocation(path, 6, len(BLOCK)))


KINDS: list[Callable[[str], ManagedBuffer]] = [
    shared,
    lambda path: FileSegmentBuffer(path, 6, len(BLOCK)),
    lambda path: HeapBuffer(BLOCK),
]


@pytest.mark.parametrize("make", KINDS)
def test_values_are_their_readers_own(path: str, make: Callable[[str], ManagedBuffer]) -> None:
    for _ in range(2):
        array, text = own_values(make(path))
        assert (array == ARRAY).all()
        assert text == "x"
        array[:] = 0


def test_what_has_no_arrays_is_not_mapped(path: str) -> None:
    data = b"".join(serializer.serialize([bytes(1 << 21)]))
    Path(path).write_bytes(data)
    assert private_of(FileSegmentBuffer(path, 0, len(data))) is None
    assert private_of(FileSegmentBuffer(path, 0, 0)) is None


class Blob:
    """As classes of users that keep large bytes out of their pickles."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Blob, (pickle.PickleBuffer(self.data),)


@pytest.mark.parametrize("data", [b"ab" * (1 << 20), bytearray(b"ab" * (1 << 20))], ids=["bytes", "bytearray"])
def test_buffers_of_other_classes_are_bytes(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"".join(serializer.serialize([Blob(data)])))
    (blob,) = own_values(FileSegmentBuffer(str(path), 0, path.stat().st_size))
    assert blob.data[1] == ord("b")
    assert blob.data == data


@pytest.mark.parametrize("make", KINDS)
def test_beyond_so_many_mappings_values_are_copied(
    path: str, make: Callable[[str], ManagedBuffer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_pages, "MAX_LIVE", len(private_pages._living) + 1)
    first, second = list(own_values(make(path))), list(own_values(make(path)))
    for array, _ in (first, second):
        assert (array == ARRAY).all()
        array[:] = 0
    assert len(private_pages._living) <= private_pages.MAX_LIVE
