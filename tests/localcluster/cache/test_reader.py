"""Reading without a server: which of two files is the entry, and what is no entry at all."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from localcluster.cache import entry_file, reader
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import digest_of
from localcluster.cache.reader import EntryReader
from storage import os_layer
from storage.block_id import CacheBlockId
from tests.support import fails

KEY = digest_of("key")


@pytest.fixture
def place(home: CacheHome) -> CacheHome:
    home.make()
    return home


@pytest.fixture
def entries(place: CacheHome) -> EntryReader:
    return EntryReader(place, "x", read_only=False)


def add(home: CacheHome, tier: Tier, value: object, key: str = "key", ttl: float | None = None) -> str:
    home.make_namespace(tier, "x")
    path = home.path(tier, CacheBlockId("x", digest_of(key)))
    os_layer.unlink(path)
    entry_file.write(path, entry_file.content(key, value, ttl))
    return path


def value(entries: EntryReader) -> object:
    found = entries.find(KEY)
    return None if found is None else found.value


def test_memory_comes_before_the_disk(place: CacheHome, entries: EntryReader) -> None:
    assert value(entries) is None
    add(place, Tier.DISK, "disk")
    assert value(entries) == "disk"
    path = add(place, Tier.MEMORY, "memory")
    assert value(entries) == "memory"
    os.unlink(path)
    assert value(entries) == "disk"


@pytest.mark.parametrize("target", Tier)
def test_an_entry_that_changes_its_place_between_two_looks_is_found(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch, target: Tier
) -> None:
    """To the disk it is moved; a new value may come into memory."""
    (source,) = set(Tier) - {target}
    path = {tier: place.path(tier, CacheBlockId("x", KEY)) for tier in Tier}
    open_existing = os_layer.open_existing

    def open_late(asked: str, *, writable: bool = False) -> int:
        if asked == path[source] and os.path.exists(asked):
            add(place, target, "there")
            os.unlink(asked)
        return open_existing(asked, writable=writable)

    monkeypatch.setattr(os_layer, "open_existing", open_late)
    for look in (lambda: value(entries) == "there", lambda: entries.header(KEY) is not None):
        os_layer.unlink(path[target])
        add(place, source, "there")
        assert look()
        assert os.path.exists(path[target])


@pytest.mark.parametrize("tier", Tier)
def test_a_damaged_file_is_removed_and_the_other_one_is_the_entry(
    place: CacheHome, entries: EntryReader, tier: Tier, caplog: pytest.LogCaptureFixture
) -> None:
    for each in Tier:
        add(place, each, each.value)
    path = place.path(tier, CacheBlockId("x", KEY))
    os.truncate(path, 100)
    (other,) = set(Tier) - {tier}
    assert value(entries) == other.value
    assert value(entries) == other.value
    os_layer.unlink(place.path(other, CacheBlockId("x", KEY)))
    assert value(entries) is None
    assert not os.path.exists(path)
    assert [record.message for record in caplog.records if "is lost" in record.message]


@pytest.mark.parametrize("tier", Tier)
def test_the_entry_of_another_key_is_a_miss(
    place: CacheHome, entries: EntryReader, tier: Tier, caplog: pytest.LogCaptureFixture
) -> None:
    path = place.path(tier, CacheBlockId("x", KEY))
    os.link(add(place, tier, "another value", "another key"), path)
    assert entries.header(KEY) is None
    assert [pickle.loads(header.key) for header in entries.headers()] == ["another key"]
    assert value(entries) is None
    assert not os.path.exists(path)
    assert [record.message for record in caplog.records if "is the entry of another key" in record.message]
    assert entries.find(digest_of("another key")) is not None


def test_a_file_that_cannot_be_read_now_is_a_miss_and_stays(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add(place, Tier.MEMORY, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "read_some", fails(errno.EIO))
        assert value(entries) is None
        assert entries.header(KEY) is None
    assert os.path.exists(path)
    assert value(entries) == 1


def test_what_is_there_and_what_can_be_read_are_the_same(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(place, Tier.DISK, 1)
    add(place, Tier.DISK, lambda: place, "code")
    add(place, Tier.MEMORY, 2, "in both")
    add(place, Tier.DISK, 2, "in both")
    add(place, Tier.MEMORY, 3, "expires", ttl=100)
    Path(place.entries(Tier.DISK), "x", "f" * 32).write_text("no entry")
    names = [pickle.loads(header.key) for header in entries.headers()]
    assert sorted(names) == ["code", "expires", "in both", "key"]
    monkeypatch.setattr(entry_file, "_PYTHON", (3, 4))
    later = time.time() + 200
    monkeypatch.setattr(time, "time", lambda: later)
    names = [pickle.loads(header.key) for header in entries.headers()]
    assert sorted(names) == ["in both", "key"]
    for name in ("code", "expires"):
        assert entries.header(digest_of(name)) is None
        assert entries.find(digest_of(name)) is None


def test_a_hit_is_noted_on_the_file_at_most_once_a_while(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add(place, Tier.MEMORY, 1)
    clock = 100.0
    monkeypatch.setattr(reader.time, "monotonic", lambda: clock)
    for moment, is_noted in ((100.0, True), (100.5, False), (101.0, True)):
        clock = moment
        os.utime(path, (1, 1))
        assert value(entries) == 1
        assert (os.stat(path).st_mtime > 1) == is_noted


def test_a_hit_in_the_first_second_after_the_machine_s_start_is_noted(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add(place, Tier.MEMORY, 1)
    monkeypatch.setattr(reader.time, "monotonic", lambda: 0.1)
    os.utime(path, (1, 1))
    assert value(entries) == 1
    assert os.stat(path).st_mtime > 1


def test_a_very_large_file_on_the_disk_is_checked_once_by_a_process_and_in_memory_never(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bool] = []
    deserialize = entry_file._deserialize

    def noting(data: memoryview, header: entry_file.Header, **how: bool) -> object:
        checked.append(not how["checked"])
        return deserialize(data, header, **how)

    monkeypatch.setattr(entry_file, "_deserialize", noting)
    array = np.zeros(2 << 20, np.uint8)
    path = add(place, Tier.DISK, array)
    assert value(entries) is not None
    assert value(entries) is not None
    os.unlink(path)
    add(place, Tier.DISK, array)
    assert value(entries) is not None  # another one
    add(place, Tier.MEMORY, array)
    assert value(entries) is not None
    assert checked == [True, False, True, False]


def test_what_is_remembered_of_entries_is_bounded(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "REMEMBERED", 3)
    for number in range(10):
        add(place, Tier.MEMORY, number, f"{number}")
        assert entries.find(digest_of(f"{number}")) is not None
    assert len(entries._touched) <= 3


def test_a_use_that_cannot_be_noted_is_a_hit_all_the_same(
    place: CacheHome, entries: EntryReader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add(place, Tier.MEMORY, 1)
    monkeypatch.setattr(reader.os, "utime", fails(errno.EROFS))
    caplog.set_level(logging.DEBUG)
    assert value(entries) == 1


def test_the_inode_is_that_of_the_file_that_is_read(place: CacheHome, entries: EntryReader) -> None:
    assert entries.inode(KEY) == 0
    on_disk = add(place, Tier.DISK, 1)
    assert entries.inode(KEY) == os.stat(on_disk).st_ino
    in_memory = add(place, Tier.MEMORY, 1)
    assert entries.inode(KEY) == os.stat(in_memory).st_ino
