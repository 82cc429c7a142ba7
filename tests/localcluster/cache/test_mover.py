"""How room is made: what goes where, what stays, and what a full disk or a lost file does to it."""

from __future__ import annotations

import errno
import gc
import heapq
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcluster.cache import entry_file
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import PAGE, CacheIndex, Entry, on_disk
from localcluster.cache.mover import Mover
from storage import os_layer
from storage.block_id import CacheBlockId
from tests.support import fails


class Place:
    """A home with files in it, and a mover."""

    def __init__(self, home: CacheHome, memory: int = 10 * PAGE, disk: int = 10 * PAGE) -> None:
        home.make()
        self.home = home
        self.index = CacheIndex({Tier.MEMORY: memory, Tier.DISK: disk})
        self.lock = threading.RLock()
        self.mover = Mover(home, self.index, self.lock)
        self.reserved = dict.fromkeys(Tier, 0)

    def add(
        self,
        number: int,
        value: Any = 0,
        *,
        tier: Tier = Tier.MEMORY,
        used_at: float | None = None,
        pinned: bool = False,
    ) -> CacheBlockId:
        block_id = CacheBlockId("x", f"{number:032x}")
        self.home.make_namespace(tier, "x")
        path = self.path(block_id, tier)
        os_layer.unlink(path)
        entry_file.write(path, entry_file.content("key", value), pinned=pinned)
        when = float(number) if used_at is None else used_at
        os.utime(path, (when, when))
        self.index.put(block_id, Entry(tier, os.path.getsize(path), when, 0.0, pinned))
        return block_id

    def path(self, block_id: CacheBlockId, tier: Tier) -> str:
        return self.home.path(tier, block_id)

    def tiers(self, block_id: CacheBlockId) -> list[Tier]:
        """Where there is a file of it."""
        return [tier for tier in Tier if os.path.exists(self.path(block_id, tier))]

    def make_room(self, size: int, tier: Tier = Tier.MEMORY) -> bool:
        made = self.mover.make_room(tier, size)
        self.reserved[tier] += on_disk(size) if made else 0
        return made

    def check(self) -> None:
        """The books are those of the files, and nothing lies aside."""
        self.index.check(self.reserved)
        files = {
            (tier, CacheBlockId(folder.name, file.name))
            for tier in Tier
            for folder in os_layer.scan(self.home.entries(tier))
            for file in os_layer.scan(folder.path)
        }
        assert files == {(self.index.get(each).tier, each) for each in self.index.of_namespace(None)}  # type: ignore[union-attr]
        assert [os_layer.names_in(self.home.aside(tier)) for tier in Tier] == [[], []]


@pytest.fixture
def place(home: CacheHome) -> Place:
    return Place(home)


def test_the_coldest_goes_to_the_disk_with_its_times_and_bytes(place: Place) -> None:
    first, *others = [place.add(number, value=[number]) for number in range(10)]
    assert place.make_room(PAGE)
    assert place.tiers(first) == [Tier.DISK]
    assert all(place.tiers(each) == [Tier.MEMORY] for each in others)
    assert os.stat(place.path(first, Tier.DISK)).st_mtime == 0.0
    found = entry_file.read(place.path(first, Tier.DISK), lambda *_: False)
    assert found is not None
    assert found.value == [0]
    assert (place.mover.moved, place.mover.evicted) == (1, 0)
    place.check()


def test_what_was_used_since_stays(place: Place) -> None:
    first, second, *_ = [place.add(number) for number in range(10)]
    os.utime(place.path(first, Tier.MEMORY), (50, 50))
    assert place.make_room(PAGE)
    assert place.tiers(first) == [Tier.MEMORY]
    assert place.tiers(second) == [Tier.DISK]
    place.check()


def test_from_a_full_disk_the_coldest_goes_away(home: CacheHome) -> None:
    place = Place(home, memory=2 * PAGE, disk=2 * PAGE)
    on_the_disk = [place.add(number, tier=Tier.DISK) for number in range(2)]
    in_memory = [place.add(number) for number in range(2, 4)]
    assert place.make_room(2 * PAGE)
    assert [place.tiers(each) for each in on_the_disk] == [[], []]
    assert [place.tiers(each) for each in in_memory] == [[Tier.DISK], [Tier.DISK]]
    assert (place.mover.moved, place.mover.evicted) == (2, 2)
    place.check()


def test_a_pinned_entry_goes_to_the_disk_and_stays_there(home: CacheHome) -> None:
    place = Place(home, memory=PAGE, disk=PAGE)
    pinned = place.add(1, pinned=True)
    assert place.make_room(PAGE)
    assert place.tiers(pinned) == [Tier.DISK]
    assert entry_file.is_pinned(os.stat(place.path(pinned, Tier.DISK)))
    assert not place.make_room(PAGE, Tier.DISK)
    place.check()


def test_an_entry_on_the_disk_that_is_pinned_no_more_makes_room(home: CacheHome) -> None:
    place = Place(home, memory=PAGE, disk=2 * PAGE)
    entries = [place.add(number, tier=Tier.DISK, pinned=True) for number in range(2)]
    assert not place.make_room(PAGE, Tier.DISK)
    os.chmod(place.path(entries[1], Tier.DISK), entry_file.NOT_PINNED)
    assert place.make_room(PAGE, Tier.DISK)
    assert [place.tiers(each) for each in entries] == [[Tier.DISK], []]
    os.unlink(place.path(entries[0], Tier.DISK))
    assert place.make_room(PAGE, Tier.DISK)
    place.check()


def test_a_pinned_entry_stays_in_memory_when_the_disk_has_no_room(home: CacheHome) -> None:
    place = Place(home, memory=PAGE, disk=0)
    pinned = place.add(1, pinned=True)
    assert not place.make_room(PAGE)
    assert place.tiers(pinned) == [Tier.MEMORY]
    place.check()


def test_an_entry_that_was_pinned_after_it_was_listed_stays(home: CacheHome) -> None:
    place = Place(home, memory=PAGE, disk=0)
    entry = place.add(1)
    os.chmod(place.path(entry, Tier.MEMORY), entry_file.PINNED)
    assert not place.make_room(PAGE)
    assert place.tiers(entry) == [Tier.MEMORY]


def test_a_pin_that_comes_while_the_entry_is_copied_is_on_the_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = place.add(1)
    during_the_copy(monkeypatch, lambda: os.chmod(place.path(entry, Tier.MEMORY), entry_file.PINNED))
    assert place.make_room(10 * PAGE)
    assert place.tiers(entry) == [Tier.DISK]
    assert entry_file.is_pinned(os.stat(place.path(entry, Tier.DISK)))
    assert place.index.get(entry).pinned  # type: ignore[union-attr]
    place.check()


def test_mapped_entries_stay_and_others_go(home: CacheHome) -> None:
    place = Place(home, memory=300 * PAGE, disk=300 * PAGE)
    mapped, other = (place.add(number, np.zeros(100 * PAGE - 1000, np.uint8)) for number in (1, 2))
    found = entry_file.read(place.path(mapped, Tier.MEMORY), lambda *_: False)
    assert place.make_room(150 * PAGE)
    assert place.tiers(mapped) == [Tier.MEMORY]
    assert place.tiers(other) == [Tier.DISK]
    assert not place.make_room(100 * PAGE)
    del found
    gc.collect()
    assert place.make_room(100 * PAGE)
    assert place.tiers(mapped) == [Tier.DISK]
    place.check()


def test_each_mapped_entry_is_looked_at_once(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(home, memory=500 * PAGE, disk=500 * PAGE)
    entries = [place.add(number, np.zeros(9 * PAGE, np.uint8)) for number in range(40)]
    mapped = [entry_file.read(place.path(each, Tier.MEMORY), lambda *_: False) for each in entries]
    pop, pops = heapq.heappop, 0

    def count(heap: list[Any]) -> Any:
        nonlocal pops
        pops += 1
        return pop(heap)

    monkeypatch.setattr(heapq, "heappop", count)
    assert not place.make_room(400 * PAGE)
    assert pops == len(mapped)
    place.check()


def test_what_can_never_fit_makes_nothing_go(place: Place) -> None:
    entries = [place.add(number) for number in range(10)]
    assert not place.make_room(10 * PAGE + 1)
    assert all(place.tiers(each) == [Tier.MEMORY] for each in entries)
    place.check()


def test_an_entry_whose_file_somebody_removed_is_forgotten(place: Place) -> None:
    entries = [place.add(number) for number in range(10)]
    for each in entries:
        os.unlink(place.path(each, Tier.MEMORY))
    assert place.make_room(10 * PAGE)
    assert len(place.index) == 0
    place.check()


def during_the_copy(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    def copy(source: str, target: str) -> None:
        shutil.copy2(source, target)
        act()

    monkeypatch.setattr(os_layer, "copy_file", copy)


@pytest.mark.parametrize("tier", Tier)
def test_a_new_entry_that_comes_during_the_copy_wins(place: Place, monkeypatch: pytest.MonkeyPatch, tier: Tier) -> None:
    entry = place.add(1, "old")

    def replace() -> None:
        if tier is Tier.DISK:  # as the server does it: the one before is removed
            os.unlink(place.path(entry, Tier.MEMORY))
        place.add(1, "new", tier=tier, used_at=99)

    during_the_copy(monkeypatch, replace)
    place.mover._to_disk_at_the_end(entry, place.index.get(entry))  # type: ignore[arg-type]
    assert place.tiers(entry) == [tier]
    found = entry_file.read(place.path(entry, tier), lambda *_: False)
    assert found is not None
    assert found.value == "new"
    place.check()


def test_a_new_entry_that_comes_right_after_the_move_is_not_taken_for_the_old_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file goes away under the lock: later, the name may be that of a new one."""
    entry = place.add(1, "old")

    def unlink(path: str) -> bool:
        if path == place.path(entry, Tier.MEMORY):
            assert not free_for_others(place.lock)
        os.unlink(path)
        return True

    monkeypatch.setattr(os_layer, "unlink", unlink)
    assert place.make_room(10 * PAGE)
    assert place.tiers(entry) == [Tier.DISK]


def free_for_others(lock: Any) -> bool:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(lock.acquire(blocking=False)))
    thread.start()
    thread.join()
    return found[0]


def test_an_entry_that_is_removed_during_the_copy_stays_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = place.add(1)

    def remove() -> None:
        place.index.remove(entry)
        os.unlink(place.path(entry, Tier.MEMORY))

    during_the_copy(monkeypatch, remove)
    assert place.make_room(10 * PAGE)
    assert place.tiers(entry) == []
    place.check()


@pytest.mark.parametrize("call", ["copy_file", "rename"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_what_the_disk_does_not_take_goes_away(
    place: Place, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    entries = [place.add(number) for number in range(10)]
    monkeypatch.setattr(os_layer, call, fails(error))
    assert place.make_room(2 * PAGE)
    assert [place.tiers(each) for each in entries] == [[], [], *([[Tier.MEMORY]] * 8)]
    assert (place.mover.moved, place.mover.evicted) == (0, 2)
    place.check()


def test_a_namespace_that_cannot_be_made_costs_the_entry_and_nothing_else(place: Place) -> None:
    entries = [place.add(number) for number in range(10)]
    Path(place.home.entries(Tier.DISK), "x").write_text("in the way")
    assert place.make_room(PAGE)
    assert place.tiers(entries[0]) == []
    assert [os_layer.names_in(place.home.aside(tier)) for tier in Tier] == [[], []]
    place.index.check(place.reserved)


def test_a_file_that_cannot_be_opened_is_passed_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        place.add(number)
    monkeypatch.setattr(os_layer, "open_existing", fails(errno.EMFILE))
    assert not place.make_room(PAGE)
    place.check()


def test_at_the_end_all_goes_to_the_disk_mapped_or_not(home: CacheHome) -> None:
    place = Place(home, memory=500 * PAGE, disk=150 * PAGE)
    entries = [place.add(number, np.zeros(50 * PAGE - 1000, np.uint8)) for number in range(4)]
    mapped = entry_file.read(place.path(entries[3], Tier.MEMORY), lambda *_: False)
    place.mover.move_all_to_disk()
    assert [place.tiers(each) for each in entries] == [[], [Tier.DISK], [Tier.DISK], [Tier.DISK]]  # the coldest went
    assert mapped is not None
    assert mapped.value.sum() == 0
    place.check()


def test_at_the_end_a_lost_file_holds_nothing_up(place: Place) -> None:
    entries = [place.add(number) for number in range(3)]
    os.unlink(place.path(entries[1], Tier.MEMORY))
    place.mover.move_all_to_disk()
    assert [place.tiers(each) for each in entries] == [[Tier.DISK], [], [Tier.DISK]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_whatever_is_asked_for_the_books_are_those_of_the_files(tmp_path: Path, data: st.DataObject) -> None:
    home = CacheHome(tempfile.mkdtemp(dir=tmp_path))
    try:
        place = Place(home, memory=6 * PAGE, disk=5 * PAGE)
        for number in range(data.draw(st.integers(1, 12))):
            pinned, tier = data.draw(st.booleans()), data.draw(st.sampled_from(Tier))
            size = data.draw(st.integers(0, 2 * PAGE))
            if place.mover.make_room(tier, size):
                place.index.release(tier, size)
                place.add(number % 7, b"." * size, tier=tier, used_at=float(number), pinned=pinned)
                other = next(each for each in Tier if each is not tier)
                os_layer.unlink(place.path(CacheBlockId("x", f"{number % 7:032x}"), other))
            place.check()
        place.mover.move_all_to_disk()
        place.check()
    finally:
        os_layer.remove_what_can_be(home.shared)
