from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from protocol.errors import OutOfSharedMemoryError, StaleLocationError
from protocol.locations import ShmLocation
from storage import os_layer, segment_supply
from storage.arena import Arena, Extent
from storage.segment import PAGE
from tests.support import fails

PREFIX = f"localcluster-test-arena-{os.getpid()}"
SHM = "/dev/shm"


@dataclass
class Budget:
    """The master's budget: `limit` bytes for all segments together."""

    limit: int
    segments: dict[str, int] = field(default_factory=dict)

    def request(self, path: str, size: int) -> bool:
        assert path not in self.segments, "a segment's name is never used again"
        if self.used + size > self.limit:
            return False
        self.segments[path] = size
        return True

    def give_back(self, path: str) -> None:
        del self.segments[path]

    @property
    def used(self) -> int:
        return sum(self.segments.values())


MakeArena = Callable[..., Arena]


@pytest.fixture
def make_arena() -> Iterator[MakeArena]:
    with contextlib.ExitStack() as stack:

        def make(budget: Budget | None = None, directory: str = SHM, **options: object) -> Arena:
            budget = budget or Budget(1 << 40)
            arena = Arena(directory, PREFIX, request_budget=budget.request, return_budget=budget.give_back, **options)  # type: ignore[arg-type]
            stack.callback(arena.close, unlink=True)
            stack.callback(arena.check)
            return arena

        yield make


@pytest.fixture(autouse=True)
def warn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_supply, "_warned_of_fallback", threading.Event())


def refuse_in(directory: str, monkeypatch: pytest.MonkeyPatch, error: int = errno.ENOSPC) -> None:
    """The directory's file system is full."""
    real = os_layer.reserve

    def reserve(fd: int, size: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(directory):
            raise OSError(error, os.strerror(error))
        real(fd, size)

    monkeypatch.setattr(os_layer, "reserve", reserve)


# --- placing -------------------------------------------------------------------------------------------------------


def test_what_is_written_is_seen_and_views_are_read_only(make_arena: MakeArena) -> None:
    arena = make_arena()
    location = arena.write([b"hello ", bytearray(b"big "), memoryview(b"world")])
    view = arena.view(location)
    assert view == b"hello big world"
    assert view.readonly
    assert arena.owns(location)


def test_extents_are_aligned_and_apart(make_arena: MakeArena) -> None:
    arena = make_arena()
    locations = [arena.write([bytes([number]) * (number * 37)]) for number in range(100)]
    assert all(location.offset % 64 == 0 for location in locations)
    assert [bytes(arena.view(location)) for location in locations] == [bytes([n]) * (n * 37) for n in range(100)]
    assert arena.statistics().segments == 1


def test_a_freed_extent_is_the_next_ones_place(make_arena: MakeArena) -> None:
    arena = make_arena()
    first = arena.write([b"x" * 1000])
    arena.write([b"y" * 1000])
    arena.free(first)
    assert arena.write([b"z" * 1000]) == first


def test_a_large_block_put_again_and_again_keeps_one_segment(make_arena: MakeArena) -> None:
    budget = Budget(1 << 40)
    arena = make_arena(budget, max_segment=1 << 20, first_segment=1 << 16)
    places = set()
    for _ in range(5):
        location = arena.allocate(3 << 20).location
        places.add((location.segment, location.offset))
        small = arena.write([b"between"])
        arena.free(location)
        arena.free(small)
    assert len(places) == 1
    assert len(budget.segments) == 2, "one for the large blocks, one for the small"


def test_small_blocks_leave_the_room_of_a_large_one_alone_as_long_as_there_is_budget(make_arena: MakeArena) -> None:
    arena = make_arena(Budget((3 << 20) + (1 << 16)), max_segment=1 << 20, first_segment=1 << 16)
    large = arena.allocate(3 << 20).location
    arena.free(large)
    assert arena.write([bytes(100)]).segment != large.segment
    arena.allocate((1 << 16) - 128)
    assert arena.write([bytes(1000)]).segment == large.segment


def test_many_small_blocks_take_few_segments(make_arena: MakeArena) -> None:
    arena = make_arena(first_segment=PAGE, max_segment=64 * PAGE)
    for _ in range(1000):
        arena.write([bytes(1024)])
    statistics = arena.statistics()
    assert statistics.segments < 20
    assert statistics.reserved < 2 * statistics.used


def test_an_extent_that_shrinks_gives_back_its_tail(make_arena: MakeArena) -> None:
    arena = make_arena(first_segment=1 << 20)
    extent = arena.allocate(1 << 20)
    extent.write(0, b"short")
    shrunk = arena.resize(extent, 5)
    assert shrunk is not None
    assert arena.statistics().used == 64
    assert arena.view(shrunk.location) == b"short"
    with pytest.raises(StaleLocationError):
        arena.view(extent.location)


def test_an_extent_grows_in_its_place_when_nothing_follows(make_arena: MakeArena) -> None:
    arena = make_arena()
    extent = arena.allocate(100)
    extent.write(0, b"kept")
    grown = arena.resize(extent, 5000)
    assert grown is not None
    assert grown.location.offset == extent.location.offset
    arena.allocate(1)
    assert arena.resize(grown, 6000) is None
    assert bytes(grown.view[:4]) == b"kept"


def test_a_failed_write_leaves_nothing(make_arena: MakeArena, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Extent, position: int, data: bytes) -> None:
        raise OutOfSharedMemoryError("no pages")

    arena = make_arena()
    monkeypatch.setattr(Extent, "write", fail)
    with pytest.raises(OutOfSharedMemoryError, match="no pages"):
        arena.write([b"data"])
    assert arena.statistics().extents == 0


# --- pins, limbo ---------------------------------------------------------------------------------------------------


def test_memory_is_not_reused_under_a_view(make_arena: MakeArena) -> None:
    arena = make_arena()
    location = arena.write([np.arange(1000).data.cast("B")])
    array = np.frombuffer(arena.view(location), np.int64)[10:20]
    assert arena.pinned(location)
    arena.free(location)
    other = arena.write([bytes(8000)])
    assert other.offset != location.offset
    assert list(array) == list(range(10, 20))
    assert arena.statistics().pinned
    del array
    assert arena.write([bytes(8000)]).offset == location.offset


def test_a_retired_extent_waits_for_the_other_processes(make_arena: MakeArena) -> None:
    arena = make_arena()
    location = arena.write([bytes(1000)])
    arena.retire(location)
    assert arena.statistics().limbo == 1024
    assert arena.write([bytes(1000)]) != location
    arena.released(location)
    assert arena.statistics().limbo == 0
    assert arena.write([bytes(1000)]) == location


def test_a_release_may_overtake_the_retirement_that_it_answers(make_arena: MakeArena) -> None:
    arena = make_arena()
    location = arena.write([b"data"])
    arena.released(location)
    assert arena.view(location) == b"data"
    arena.retire(location)
    assert arena.statistics().extents == 0


def test_released_by_others_but_viewed_here_is_not_free(make_arena: MakeArena) -> None:
    arena = make_arena()
    location = arena.write([b"data"])
    view = arena.view(location)
    arena.retire(location)
    arena.released(location)
    assert arena.statistics().extents == 1
    assert view == b"data"
    del view
    assert arena.statistics().extents == 0


@pytest.mark.parametrize("give_up", [Arena.free, Arena.retire])
def test_what_was_given_up_cannot_be_viewed_or_given_up_again(
    make_arena: MakeArena, give_up: Callable[[Arena, ShmLocation], None]
) -> None:
    arena = make_arena()
    location = arena.write([b"data"])
    view = arena.view(location)
    give_up(arena, location)
    for use in (arena.view, arena.free, arena.retire):
        with pytest.raises(StaleLocationError):
            use(location)
    assert view == b"data"


def test_a_location_of_another_arena_is_refused(make_arena: MakeArena) -> None:
    arena, other = make_arena(), make_arena()
    location = other.write([b"data"])
    assert not arena.owns(location)
    for use in (arena.view, arena.free, arena.retire, arena.released, arena.pinned):
        with pytest.raises(StaleLocationError):
            use(location)
    with pytest.raises(StaleLocationError, match="has 4 bytes"):
        other.view(ShmLocation(location.segment, location.offset, 3))


# --- budget and full file systems ----------------------------------------------------------------------------------


def test_empty_segments_go_back_when_the_budget_is_needed(make_arena: MakeArena) -> None:
    budget = Budget(10 << 20)
    arena = make_arena(budget, first_segment=1 << 20)
    arena.free(arena.allocate(6 << 20).location)
    arena.free(arena.allocate(1 << 20).location)
    location = arena.allocate(9 << 20).location
    assert budget.segments == {location.segment: 9 << 20}
    assert os.listdir(SHM).count(os.path.basename(location.segment)) == 1


def test_trim_returns_what_is_empty_and_only_that(make_arena: MakeArena) -> None:
    budget = Budget(1 << 40)
    arena = make_arena(budget, first_segment=1 << 20)
    kept = arena.write([b"kept"])
    arena.free(arena.allocate(8 << 20).location)
    assert arena.trim() == 8 << 20
    assert budget.used == 1 << 20
    assert arena.view(kept) == b"kept"
    assert arena.trim() == 0


def test_empty_segments_beyond_a_limit_are_returned_without_being_asked(
    make_arena: MakeArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.arena.KEEP_IDLE", 3 << 20)
    budget = Budget(1 << 40)
    arena = make_arena(budget, first_segment=1 << 20, max_segment=1 << 20)
    locations = [arena.allocate(1 << 20).location for _ in range(10)]
    for location in locations:
        arena.free(location)
    assert budget.used == 4 << 20


def test_without_budget_blocks_go_to_files_with_one_warning(
    make_arena: MakeArena, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(1 << 20)
    arena = make_arena(budget, first_segment=1 << 20, fallback_dirs=[str(tmp_path)])
    arena.allocate(1 << 20)
    with caplog.at_level(logging.WARNING):
        locations = [arena.write([b"in a file"]), arena.write([bytes(3 << 20)])]
    assert all(location.segment.startswith(str(tmp_path)) for location in locations)
    assert arena.view(locations[0]) == b"in a file"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert budget.used == 1 << 20
    assert len(budget.segments) == 3, "the master knows of the files, too"
    for location in locations:
        arena.free(location)
    assert list(tmp_path.iterdir()) == []


def test_a_full_shared_memory_is_no_crash_but_files(
    make_arena: MakeArena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_in(SHM, monkeypatch)
    budget = Budget(1 << 40)
    location = make_arena(budget, fallback_dirs=[str(tmp_path)]).write([b"data"])
    assert location.segment.startswith(str(tmp_path))
    assert budget.used == 0


def test_a_store_may_refuse_files(make_arena: MakeArena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_in(SHM, monkeypatch)
    arena = make_arena(fallback_dirs=[str(tmp_path)])
    with pytest.raises(OutOfSharedMemoryError, match="no room for 10 bytes"):
        arena.allocate(10, allow_fallback=False)
    arena.allocate(10)
    with pytest.raises(OutOfSharedMemoryError):
        arena.allocate(10, allow_fallback=False)


def test_the_next_directory_is_tried_and_the_last_failure_is_an_error(
    make_arena: MakeArena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, free = tmp_path / "full", tmp_path / "free"
    for directory in (full, free):
        directory.mkdir()
    arena = make_arena(Budget(0), fallback_dirs=[str(full), str(free)])
    refuse_in(str(full), monkeypatch, errno.EDQUOT)
    assert arena.write([b"data"]).segment.startswith(str(free))
    with pytest.raises(OutOfSharedMemoryError, match=rf"{full}.*Disk quota exceeded"):
        make_arena(Budget(0), fallback_dirs=[str(full)]).write([b"data"])
    assert list(full.iterdir()) == []


def test_an_extent_whose_pages_the_system_has_not_is_made_in_a_file(
    make_arena: MakeArena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os_layer.populate
    calls = iter([fails(errno.ENOMEM), real])
    monkeypatch.setattr(os_layer, "populate", lambda *arguments: next(calls)(*arguments))
    arena = make_arena(fallback_dirs=[str(tmp_path)])
    location = arena.write([b"some ", b"data"])
    assert location.segment.startswith(str(tmp_path))
    assert bytes(arena.view(location)) == b"some data"
    assert arena.statistics().extents == 1


def test_a_segment_that_cannot_be_removed_is_given_up_all_the_same(
    make_arena: MakeArena, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(1 << 40)
    arena = make_arena(budget)
    arena.free(arena.write([b"data"]))
    (path,) = budget.segments
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "unlink", fails(errno.EIO))
        arena.trim()
    assert (budget.used, budget.segments) == (0, {})
    assert f"cannot remove segment {path}: [Errno 5]" in caplog.text
    os_layer.unlink(path)


def test_a_smaller_segment_is_made_where_the_wished_for_one_does_not_fit(make_arena: MakeArena) -> None:
    arena = make_arena(Budget(11 << 20), first_segment=1 << 20)
    for _ in range(11):
        arena.allocate(1 << 20, allow_fallback=False)
    with pytest.raises(OutOfSharedMemoryError):
        arena.allocate(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_really_full_file_system_is_an_error_and_no_signal(make_arena: MakeArena, tmp_path: Path) -> None:
    if os.system(f"mount -t tmpfs -o size=1m localcluster-test {tmp_path} 2>/dev/null"):
        pytest.skip("this system does not let us mount a tmpfs")
    try:
        arena = make_arena(directory=str(tmp_path), first_segment=1 << 18)
        fill = (arena.write([bytes([number]) * 50_000]) for number in range(100))
        with pytest.raises(OutOfSharedMemoryError):
            list(fill)
        statistics = arena.statistics()
        assert statistics.extents >= 19
        assert statistics.reserved == 1 << 20
        arena.close(unlink=True)
    finally:
        assert os.system(f"umount {tmp_path}") == 0


# --- any order of steps --------------------------------------------------------------------------------------------


class ArenaMachine(RuleBasedStateMachine):
    """Random steps; every view must show its bytes as long as it lives, and the books must balance."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(16 * PAGE)
        self.arena = Arena(
            SHM, PREFIX, (), self.budget.request, self.budget.give_back, first_segment=PAGE, max_segment=4 * PAGE
        )
        self.live: dict[ShmLocation, bytes] = {}
        self.limbo: dict[ShmLocation, bytes] = {}
        self.views: list[tuple[memoryview, bytes]] = []
        self.count = 0

    @rule(size=st.integers(0, 3 * PAGE) | st.integers(0, 200))
    def put(self, size: int) -> None:
        self.count += 1
        data = (b"%06d" % self.count * (size // 6 + 1))[:size]
        try:
            self.live[self.arena.write([data])] = data
        except OutOfSharedMemoryError:
            assert self.live or self.limbo or self.views

    @precondition(lambda self: self.live)
    @rule(choice=st.integers(0, 1000))
    def view(self, choice: int) -> None:
        location, data = list(self.live.items())[choice % len(self.live)]
        self.views.append((self.arena.view(location), data))

    @precondition(lambda self: self.views)
    @rule(choice=st.integers(0, 1000))
    def drop_view(self, choice: int) -> None:
        del self.views[choice % len(self.views)]

    @precondition(lambda self: self.live)
    @rule(choice=st.integers(0, 1000), leased=st.booleans(), overtaken=st.booleans())
    def give_up(self, choice: int, leased: bool, overtaken: bool) -> None:
        location = list(self.live)[choice % len(self.live)]
        data = self.live.pop(location)
        if not leased:
            self.arena.free(location)
        elif overtaken:
            self.arena.released(location)
            self.arena.retire(location)
        else:
            self.arena.retire(location)
            self.limbo[location] = data

    @precondition(lambda self: self.limbo)
    @rule(choice=st.integers(0, 1000))
    def release(self, choice: int) -> None:
        location = list(self.limbo)[choice % len(self.limbo)]
        del self.limbo[location]
        self.arena.released(location)

    @rule()
    def trim(self) -> None:
        self.arena.trim()

    @invariant()
    def holds(self) -> None:
        self.arena.check()
        assert all(view == data for view, data in self.views)
        for location, data in self.limbo.items():  # as another process sees it
            with open(location.segment, "rb") as file:
                file.seek(location.offset)
                assert file.read(location.length) == data
        assert self.arena.statistics().reserved == self.budget.used <= self.budget.limit

    def teardown(self) -> None:
        self.views.clear()
        for location in self.live:
            self.arena.free(location)
        for location in self.limbo:
            self.arena.released(location)
        self.arena.trim()
        assert self.arena.statistics().segments == 0
        assert self.budget.segments == {}
        self.arena.close(unlink=True)


def test_any_order_of_steps_keeps_views_intact_and_ends_empty() -> None:
    run_state_machine_as_test(ArenaMachine, settings=settings(max_examples=40, stateful_step_count=40))


def test_threads_share_an_arena(make_arena: MakeArena) -> None:
    arena = make_arena(first_segment=PAGE, max_segment=8 * PAGE)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(200):
                data = bytes([number, turn]) * (turn * 13 % 700)
                location = arena.write([data])
                view = arena.view(location)
                arena.free(location)
                assert view == data
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    arena.check()
    assert arena.statistics().extents == 0


def test_the_arena_goes_on_while_a_segment_is_being_granted(make_arena: MakeArena) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow_master(path: str, size: int) -> bool:
        asked.set()
        return size == PAGE or answer.wait(20)

    arena = Arena(SHM, PREFIX, request_budget=slow_master, first_segment=PAGE)
    try:
        location = arena.write([b"data"])
        asked.clear()
        thread = threading.Thread(target=arena.allocate, args=(10 * PAGE,))
        thread.start()
        assert asked.wait(20)
        assert arena.view(location) == b"data"
        arena.free(location)
        answer.set()
        thread.join(20)
    finally:
        arena.close(unlink=True)


def test_closing_without_unlinking_leaves_the_files_to_their_heir(make_arena: MakeArena) -> None:
    arena = make_arena()
    location = arena.write([b"inherited"])
    view = arena.view(location)
    arena.close(unlink=False)
    assert view == b"inherited"
    assert os.path.exists(location.segment)
    os.unlink(location.segment)
