from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import OutOfSharedMemoryError
from storage.arena import Arena, Extent
from storage.extent_writer import ExtentUnroll, ExtentWriter
from storage.segment import PAGE
from storage.serializer import deserialize

PREFIX = f"localcluster-test-writer-{os.getpid()}"


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena("/dev/shm", PREFIX, first_segment=16 * PAGE)
    yield made
    made.check()
    made.close(unlink=True)


class Allocations:
    """Gives extents as long as `limit` bytes are enough for the one asked for, and remembers the sizes."""

    def __init__(self, arena: Arena, limit: int = 1 << 40) -> None:
        self.arena, self.limit = arena, limit
        self.sizes: list[int] = []

    def __call__(self, size: int) -> Extent:
        if size > self.limit:
            raise OutOfSharedMemoryError(f"{size} bytes are too many")
        self.sizes.append(size)
        return self.arena.allocate(size)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3000) | st.integers(0, 100_000), max_size=30), st.booleans())
def test_pieces_lie_end_to_end_whatever_is_in_the_way(sizes: list[int], crowded: bool) -> None:
    arena = Arena("/dev/shm", PREFIX, first_segment=16 * PAGE)
    try:
        writer = ExtentWriter(arena, arena.allocate)
        pieces = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
        for piece in pieces:
            writer.write(piece)
            if crowded:
                arena.allocate(1)  # takes what follows the extent, so that it has to move
        location = writer.finish()
        assert location.length == sum(sizes)
        assert arena.view(location) == b"".join(pieces)
        arena.free(location)
        assert arena.statistics().pinned == 0
    finally:
        arena.check()
        arena.close(unlink=True)


def test_one_large_piece_and_a_small_end_are_allocated_once(arena: Arena) -> None:
    allocate = Allocations(arena)
    writer = ExtentWriter(arena, allocate)
    for piece in (bytes(10_000_000), bytes(100)):
        writer.write(piece)
    assert writer.finish().length == 10_000_100
    assert len(allocate.sizes) == 1


def test_a_stream_that_must_move_again_and_again_does_so_in_growing_steps(arena: Arena) -> None:
    allocate = Allocations(arena)
    writer = ExtentWriter(arena, allocate)
    for _ in range(500):
        writer.write(bytes(10_000))
        arena.allocate(1)
    assert sum(allocate.sizes) < 4 * writer.length
    writer.abort()


def test_room_is_asked_for_exactly_where_there_is_none_to_spare(arena: Arena) -> None:
    writer = ExtentWriter(arena, Allocations(arena, limit=1000))
    writer.write(bytes(1000))
    assert writer.finish().length == 1000


def test_aborting_gives_all_back(arena: Arena) -> None:
    writer = ExtentWriter(arena, arena.allocate)
    writer.abort()
    writer.write(b"data")
    writer.abort()
    writer.abort()
    assert arena.statistics().extents == 0


def test_values_that_do_not_fit_are_all_left_over_in_order(arena: Arena) -> None:
    for limit in (0, 100, 1000, 30_000, 60_000, 250_000):
        pulled: list[int] = []

        def numbers(pulled: list[int] = pulled) -> Iterator[int]:
            for number in range(100_000):
                pulled.append(number)
                yield number

        unroll = ExtentUnroll(ExtentWriter(arena, Allocations(arena, limit)), numbers())
        assert unroll.run(batch_size=10) is None
        assert len(pulled) < 100_000, "the rest is not read before somebody wants it"
        leftover = unroll.leftover()
        assert list(leftover) == list(range(100_000))
        assert arena.statistics().extents == 0


def test_left_over_values_do_not_hang_on_the_extent(arena: Arena) -> None:
    """What was written comes back as arrays that own their memory and may be changed, like those never written."""
    arrays = [np.full(2000, number) for number in range(50)]
    unroll = ExtentUnroll(ExtentWriter(arena, Allocations(arena, 200_000)), iter(arrays))
    assert unroll.run(batch_size=2) is None
    left = list(unroll.leftover())
    assert arena.statistics().extents == 0
    for array, original in zip(left, arrays, strict=True):
        np.testing.assert_array_equal(array, original)
        array += 1


def test_a_buffer_that_the_iterator_uses_again_is_copied_in_time(arena: Arena) -> None:
    buffer = np.zeros(20_000)

    def reusing() -> Iterator[np.ndarray]:
        for number in range(10):
            buffer[:] = number
            yield buffer

    location = ExtentUnroll(ExtentWriter(arena, arena.allocate), reusing()).run(batch_size=1)
    assert location is not None
    for number, array in enumerate(deserialize(arena.view(location))):
        np.testing.assert_array_equal(array, np.full(20_000, number))


def test_what_the_iterator_raises_gives_the_extent_back(arena: Arena) -> None:
    def failing() -> Iterator[int]:
        yield from range(10_000)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        ExtentUnroll(ExtentWriter(arena, arena.allocate), failing()).run(batch_size=10)
    assert arena.statistics().extents == 0
