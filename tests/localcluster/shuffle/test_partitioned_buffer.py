"""Gathering records by partition, with and without spilling."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioned_buffer import PartitionedBuffer
from localcluster.shuffle.partitioner import Partitioner
from storage import serializer
from tests.localcluster.shuffle.bench import NOTHING, PLENTY, ShuffleBench


def contents(buffer: PartitionedBuffer, part: int) -> list[Any]:
    return list(serializer.deserialize(memoryview(b"".join(buffer.chunks(part))), copy=True))


@given(
    numbers=st.lists(st.integers(-100, 100), max_size=100),
    partitions=st.integers(1, 6),
    limit=st.sampled_from([NOTHING, 3000, PLENTY]),
)
@settings(max_examples=15)
def test_every_record_is_in_its_partition_in_the_order_it_came(
    long_bench: ShuffleBench, numbers: list[int], partitions: int, limit: int
) -> None:
    records = [(number, str(i)) for i, number in enumerate(numbers)]
    partitioner = Partitioner(partitions, portable_hash)
    with PartitionedBuffer(partitions, limit, long_bench.blocks) as buffer:
        buffer.add_all(records[:30], partitioner)
        buffer.add_all(records[30:], partitioner)
        for part in range(partitions):
            assert contents(buffer, part) == [record for record in records if partitioner(record[0]) == part]
    assert long_bench.spill_files == []


def test_an_empty_partition_has_no_chunks(bench: ShuffleBench) -> None:
    with PartitionedBuffer(3, NOTHING, bench.blocks) as buffer:
        buffer.add_all([(1, "a")] * 10, Partitioner(3, portable_hash))
        assert bench.spill_files
        assert [len(list(buffer.chunks(part))) > 0 for part in range(3)] == [False, True, False]


def test_a_spill_empties_memory_and_counts_anew(bench: ShuffleBench) -> None:
    with PartitionedBuffer(2, 100_000, bench.blocks) as buffer:
        buffer.add_all(((n, bytes(1000)) for n in range(3000)), Partitioner(2, portable_hash))
        assert 1 < len(bench.spill_files) < 60
        assert [n for n, _ in contents(buffer, 1)] == list(range(1, 3000, 2))


def test_spill_files_go_after_an_exception_out_of_the_records(bench: ShuffleBench) -> None:
    def broken() -> Any:
        yield from ((n, n) for n in range(100))
        raise ValueError("the input ends here")

    with PartitionedBuffer(2, NOTHING, bench.blocks) as buffer:
        with pytest.raises(ValueError, match="ends here"):
            buffer.add_all(broken(), Partitioner(2, portable_hash))
        assert all(name.startswith("temp_shuffle_") for name in bench.spill_files)
        assert bench.spill_files
    assert bench.spill_files == []


def test_an_unhashable_key_is_a_type_error(bench: ShuffleBench) -> None:
    with PartitionedBuffer(2, PLENTY, bench.blocks) as buffer, pytest.raises(TypeError, match="unhashable"):
        buffer.add_all([([1], 2)], Partitioner(2, portable_hash))


def test_a_stop_iteration_out_of_the_partition_function_is_not_the_end_of_the_records(bench: ShuffleBench) -> None:
    def stop(key: Any) -> int:
        raise StopIteration

    with PartitionedBuffer(2, PLENTY, bench.blocks) as buffer, pytest.raises(StopIteration):
        buffer.add_all([(1, 2)], Partitioner(2, stop))


def test_keys_are_placed_for_a_single_partition_too(bench: ShuffleBench) -> None:
    with PartitionedBuffer(1, PLENTY, bench.blocks) as buffer, pytest.raises(TypeError, match="unhashable"):
        buffer.add_all([([1], 2)], Partitioner(1, portable_hash))


def test_a_record_of_three_is_no_pair(bench: ShuffleBench) -> None:
    with PartitionedBuffer(2, PLENTY, bench.blocks) as buffer, pytest.raises(ValueError, match="too many values"):
        buffer.add_all([(1, 2, 3)], Partitioner(2, portable_hash))
