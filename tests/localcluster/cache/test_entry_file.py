"""The file of an entry: what comes back, and that a file which was cut, changed or is of another version never does."""

from __future__ import annotations

import errno
import gc
import math
import os
import pickle
import resource
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcluster.cache import entry_file
from localcluster.cache.entry_file import HAS_CODE, SMALL, VERIFY_BELOW, Found, Header
from protocol.errors import CacheError, CorruptBlockError, DeserializationError, SerializationError
from storage import os_layer
from storage.serializer import serialize
from tests.support import fails

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()),
    lambda v: st.one_of(st.lists(v), st.dictionaries(st.text(), v), st.tuples(v, v)),
    max_leaves=20,
)


def check_all(path: str, header: Header) -> bool:
    return False


def trust_all(path: str, header: Header) -> bool:
    return True


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "entry")


def make(path: str, value: Any, ttl: float | None = None) -> None:
    if os.path.exists(path):
        os.unlink(path)
    entry_file.write(path, entry_file.content("key", value, ttl))


def read(path: str, **how: Any) -> Any:
    found = entry_file.read(path, check_all, **how)
    assert isinstance(found, Found)
    return found.value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values, pad=st.sampled_from([0, SMALL]))
def test_what_was_written_is_read(path: str, value: Any, pad: int) -> None:
    make(path, [value, b"." * pad])
    assert read(path) == [value, b"." * pad]
    header = entry_file.header_at(path)
    assert pickle.loads(header.key) == "key"
    assert header.end == os.path.getsize(path)
    assert abs(header.created - time.time()) < 3600
    assert header.is_readable


@pytest.mark.parametrize("count", [10, SMALL, 2 * VERIFY_BELOW])
def test_arrays_come_back_writable_and_what_is_written_nobody_else_sees(path: str, count: int) -> None:
    make(path, {"a": np.arange(count), "b": np.ones(3)})
    mine, theirs = read(path), read(path)
    assert mine["a"].flags.writeable
    mine["a"][:] = -1
    mine["b"][0] = 7
    assert (theirs["a"] == np.arange(count)).all()
    assert (read(path)["b"] == 1).all()
    del mine, theirs
    gc.collect()


def test_with_views_that_are_not_writable_large_arrays_are_read_only(path: str) -> None:
    make(path, np.arange(SMALL))
    array = read(path, read_only=True)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    assert (array == np.arange(SMALL)).all()


def test_a_mapped_value_outlives_the_file(path: str) -> None:
    make(path, np.arange(SMALL))
    array = read(path)
    os.unlink(path)
    assert (array == np.arange(SMALL)).all()


def test_records_come_back_as_an_iterator(path: str) -> None:
    records = [np.full(50_000, 1), "a", 2]
    entry_file.write(path, entry_file.content_of_records("key", serialize(records)))
    array, *others = read(path)
    assert others == ["a", 2]
    array += 1  # its own


def test_there_is_none_where_there_is_no_file(path: str) -> None:
    assert entry_file.read(path, check_all) is None


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [{"a": [1, "b"]}, np.arange(5), b"x" * (SMALL + 100)], ids=["plain", "array", "large"]
)
def test_a_file_that_was_cut_is_no_entry(path: str, value: Any) -> None:
    make(path, value)
    size = os.path.getsize(path)
    for length in {*range(min(size, 500)), *range(max(0, size - 80), size), size // 2}:
        make(path, value)
        os.truncate(path, length)
        with pytest.raises(CorruptBlockError):
            entry_file.read(path, check_all)


@pytest.mark.parametrize(
    ("value", "step"),
    [({"a": [1, "b"]}, 1), (np.arange(5), 1), (np.arange(SMALL // 4), 997)],
    ids=["plain", "array", "large"],
)
def test_a_file_with_a_bit_flipped_is_no_entry(path: str, value: Any, step: int) -> None:
    make(path, value)
    good = bytearray(Path(path).read_bytes())
    for bit in [*range(0, len(good) * 8, step), *range(min(len(good), 64) * 8)]:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        Path(path).write_bytes(bad)
        with pytest.raises(CorruptBlockError):
            entry_file.read(path, check_all)
        with_header = bit // 8 < 128
        if with_header:
            with pytest.raises(CorruptBlockError):
                entry_file.header_at(path)


def test_a_damaged_length_makes_nobody_read_gigabytes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path, 1)
    data = bytearray(Path(path).read_bytes())
    struct.pack_into("<I", data, 16, 2**32 - 1)
    Path(path).write_bytes(data)
    monkeypatch.setattr(os_layer, "read_at", fails(errno.ENOMEM))
    for call in (lambda: entry_file.read(path, check_all), lambda: entry_file.header_at(path)):
        with pytest.raises(CorruptBlockError):
            call()


@pytest.mark.parametrize("length", [100, 5000, 3 * SMALL])
def test_keys_of_any_length(path: str, length: int) -> None:
    key = ("k" * length, 1)
    entry_file.write(path, entry_file.content(key, "value"))
    assert pickle.loads(entry_file.header_at(path).key) == key
    assert read(path) == "value"


def test_a_file_of_another_version_is_no_entry(path: str) -> None:
    make(path, 1)
    data = Path(path).read_bytes()
    Path(path).write_bytes(b"LCENTRY2" + data[8:])
    with pytest.raises(CorruptBlockError, match="another version"):
        entry_file.read(path, check_all)


def test_bytes_of_a_very_large_value_are_believed_where_the_caller_says_so(path: str) -> None:
    make(path, np.zeros(VERIFY_BELOW, np.uint8))  # with its header it is larger
    with open(path, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"\1")
    assert entry_file.read(path, trust_all).value.sum() == 1  # type: ignore[union-attr]
    with pytest.raises(CorruptBlockError):
        entry_file.read(path, check_all)
    make(path, np.zeros(VERIFY_BELOW // 2, np.uint8))
    with open(path, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"\1")
    with pytest.raises(CorruptBlockError):
        entry_file.read(path, trust_all)  # a smaller one is looked at each time


# --- who may read it -------------------------------------------------------------------------------------------------


def as_of(path: str, python: tuple[int, int]) -> None:
    """As if this version of Python had written it."""
    data = bytearray(Path(path).read_bytes())
    header = entry_file.read_header(data)
    struct.pack_into("<BB", data, 16 + 4 + 8 + 16, *python)
    struct.pack_into("<Q", data, 8, entry_file.xxh3_64_intdigest(memoryview(data)[16 : header.start]))
    Path(path).write_bytes(data)


def test_code_is_for_the_python_that_wrote_it_and_data_for_all(path: str) -> None:
    secret = 5
    make(path, lambda: secret)
    assert entry_file.header_at(path).flags & HAS_CODE
    assert read(path)() == 5
    as_of(path, (3, 4))
    assert entry_file.read(path, check_all) is None
    assert not entry_file.header_at(path).is_readable
    make(path, {"a": np.arange(3)})
    as_of(path, (3, 4))
    assert read(path)["a"].sum() == 3


@pytest.mark.parametrize("size", [1, 100_000])
def test_records_with_code_are_for_this_python_however_large_their_pickle(path: str, size: int) -> None:
    content = entry_file.content_of_records("key", serialize([(lambda: size, "x" * size)]))
    entry_file.write(path, content)
    as_of(path, (3, 4))
    assert entry_file.read(path, check_all) is None


def test_a_function_of_a_module_goes_by_its_name(path: str) -> None:
    make(path, os.path.join)
    assert not entry_file.header_at(path).flags & HAS_CODE
    assert read(path) is os.path.join


def test_an_entry_is_good_for_its_time(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path, 1, ttl=100)
    assert read(path) == 1
    later = time.time() + 101
    monkeypatch.setattr(time, "time", lambda: later)
    assert entry_file.read(path, check_all) is None
    assert not entry_file.header_at(path).is_readable
    earlier = later - 10_000  # the clock was set back
    monkeypatch.setattr(time, "time", lambda: earlier)
    assert read(path) == 1


@pytest.mark.parametrize("ttl", [0, -1, math.nan, math.inf, "1h", "5", [1]])
def test_a_time_that_is_none_is_refused(ttl: Any) -> None:
    with pytest.raises(CacheError, match="ttl"):
        entry_file.content("key", 1, ttl)


class Unreadable:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return int, ("no number",)


@pytest.mark.parametrize("pad", [0, SMALL])
def test_what_cannot_be_unpickled_here_is_another_error_than_damage(path: str, pad: int) -> None:
    make(path, [Unreadable(), b"." * pad])
    with pytest.raises(DeserializationError):
        entry_file.read(path, check_all)


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises(SerializationError, match="lock"):
        entry_file.content("key", {"a": threading.Lock()})


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_pinned_file_is_one_that_is_not_written_to(path: str) -> None:
    entry_file.write(path, entry_file.content("key", 1), pinned=True)
    assert entry_file.is_pinned(os.stat(path))
    assert read(path) == 1
    os.chmod(path, entry_file.NOT_PINNED)
    assert not entry_file.is_pinned(os.stat(path))


@pytest.mark.parametrize("value", [1, b"x" * SMALL])
def test_a_full_disk_is_the_system_s_error(path: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
    monkeypatch.setattr(os_layer, "write", fails(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        make(path, value)
    assert before == (set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set())


def leased(path: str) -> bool:
    fd = os_layer.open_existing(path)
    try:
        return entry_file.is_leased(fd)
    finally:
        os_layer.let_go(fd)


def test_who_has_a_value_mapped_has_the_lease_and_who_has_a_copy_has_none(path: str) -> None:
    make(path, np.arange(10))
    small = read(path)
    assert not leased(path)
    make(path, np.arange(SMALL))
    array = read(path)
    part = array[5:7]
    del array
    gc.collect()
    assert leased(path)
    del part, small
    gc.collect()
    assert not leased(path)


def test_a_fork_has_the_lease_too(path: str) -> None:
    make(path, np.arange(SMALL))
    array = read(path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    del array
    gc.collect()
    assert leased(path)
    os.close(writing)
    os.waitpid(child, 0)
    assert not leased(path)


@pytest.mark.parametrize("call", ["lock_shared", "lock"])
def test_a_file_system_without_locks_is_read_without_leases(
    path: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, np.arange(SMALL))
    monkeypatch.setattr(os_layer, call, fails(errno.ENOLCK))
    array = read(path)
    assert array[5] == 5
    if call == "lock":
        assert not leased(path)


@pytest.mark.parametrize("writable", [True, False])
def test_a_program_that_has_very_many_mapped_gets_copies_and_keeps_its_descriptors(
    path: str, writable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(path, np.arange(SMALL))
    limit = 2 * (len(entry_file._mappings) + 10)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    before = len(os.listdir("/dev/fd"))
    arrays = [read(path, read_only=not writable) for _ in range(30)]
    assert len(os.listdir("/dev/fd")) - before <= 10
    for array in arrays:
        assert (array == np.arange(SMALL)).all()
        assert array.flags.writeable == writable
    del array, arrays
    gc.collect()
