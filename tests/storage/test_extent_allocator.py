"""The arithmetic of extents, against a naive model that keeps one flag per 64 bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.extent_allocator import ALIGNMENT, ExtentAllocator, align

CELLS = 32
STEPS = st.lists(
    st.tuples(st.sampled_from(["allocate", "free", "resize"]), st.integers(0, 12 * ALIGNMENT), st.integers(0, 50)),
    max_size=60,
)


class CellModel:
    """Which cells of 64 bytes are taken, and how a best-fit allocator must answer."""

    def __init__(self) -> None:
        self.taken = [False] * CELLS
        self.extents: dict[int, int] = {}  # {first cell: cells}

    def holes(self) -> list[tuple[int, int]]:
        """(cells, first cell) of each run of free cells."""
        found, start = [], 0
        for cell in range(CELLS + 1):
            if cell == CELLS or self.taken[cell]:
                if cell > start:
                    found.append((cell - start, start))
                start = cell + 1
        return found

    def best_fit(self, cells: int) -> int | None:
        fitting = [hole for hole in self.holes() if hole[0] >= cells]
        return min(fitting)[1] if fitting else None

    def take(self, first: int, cells: int) -> None:
        assert not any(self.taken[first : first + cells])
        self.taken[first : first + cells] = [True] * cells
        self.extents[first] = cells

    def give(self, first: int) -> int:
        cells = self.extents.pop(first)
        self.taken[first : first + cells] = [False] * cells
        return cells


@given(STEPS)
def test_every_sequence_of_steps_agrees_with_a_map_of_cells(steps: list[tuple[str, int, int]]) -> None:
    allocator, model = ExtentAllocator(CELLS * ALIGNMENT), CellModel()
    for step, length, choice in steps:
        cells = align(length) // ALIGNMENT
        extents = sorted(model.extents)
        if step == "allocate":
            expected = model.best_fit(cells)
            offset = allocator.allocate(length)
            assert offset == (None if expected is None else expected * ALIGNMENT)
            if expected is not None:
                model.take(expected, cells)
        elif extents:
            first = extents[choice % len(extents)]
            if step == "free":
                allocator.free(first * ALIGNMENT)
                model.give(first)
            else:
                before = model.give(first)
                fits = first + cells <= CELLS and not any(model.taken[first : first + cells])
                assert allocator.resize(first * ALIGNMENT, length) is fits
                model.take(first, cells if fits else before)
        allocator.check()
        assert allocator.used == sum(model.taken) * ALIGNMENT
        assert allocator.largest_hole == max((hole[0] for hole in model.holes()), default=0) * ALIGNMENT
    for first in list(model.extents):
        allocator.free(first * ALIGNMENT)
    allocator.check()
    assert allocator.empty
    assert allocator.largest_hole == allocator.size


def test_a_warm_hole_is_used_before_the_untouched_end() -> None:
    allocator = ExtentAllocator(1 << 20)
    first, second = allocator.allocate(1000), allocator.allocate(1000)
    assert first == 0
    allocator.free(first)
    assert second is not None
    assert allocator.allocate(500) == 0


def test_empty_extents_have_places_of_their_own() -> None:
    allocator = ExtentAllocator(2 * ALIGNMENT)
    assert {allocator.allocate(0), allocator.allocate(0)} == {0, ALIGNMENT}
    assert allocator.allocate(0) is None


def test_the_whole_segment_can_be_one_extent() -> None:
    allocator = ExtentAllocator(1 << 20)
    assert allocator.allocate((1 << 20) + 1) is None
    assert allocator.allocate(1 << 20) == 0
    assert allocator.largest_hole == 0


def test_freeing_what_is_no_extent_is_refused() -> None:
    allocator = ExtentAllocator(1 << 20)
    allocator.allocate(100)
    allocator.free(0)
    with pytest.raises(KeyError):
        allocator.free(0)
    allocator.check()


def test_check_finds_an_overlap() -> None:
    allocator = ExtentAllocator(1 << 10)
    allocator.allocate(128)
    allocator._extents[64] = 64
    with pytest.raises(AssertionError):
        allocator.check()
