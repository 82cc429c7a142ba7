"""Sort and hash shuffles from map tasks of one executor to reducers of another, against a brute-force model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.hash_shuffle import HashShuffleManager
from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from protocol.errors import FetchFailedError, OutOfSharedMemoryError, RDDError
from protocol.locations import ShmLocation
from storage.block_id import ShuffleBlockId, ShuffleDataBlockId, ShuffleIndexBlockId
from tests.localcluster.shuffle.bench import LISTS, NOTHING, PLENTY, SUMS, Round, ShuffleBench, Task

KINDS = [SortShuffleManager, HashShuffleManager]
kinds = pytest.mark.parametrize("kind", KINDS)
Kind = type[ShuffleManager]

maps = st.lists(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), max_size=25), max_size=3)
limits = st.sampled_from([NOTHING, 2000, PLENTY])


def remove(bench: ShuffleBench, shuffle: Any) -> None:
    bench.blocks.remove_shuffle(shuffle.id)


@kinds
@given(inputs=maps, partitions=st.integers(1, 5), limit=limits)
@settings(max_examples=10)
def test_without_an_aggregator_records_come_as_the_map_tasks_made_them(
    long_bench: ShuffleBench, kind: Kind, inputs: list[list[Any]], partitions: int, limit: int
) -> None:
    run, shuffle = Round(long_bench, kind, limit), long_bench.shuffle(partitions)
    run.write(shuffle, *inputs)
    records = [record for part in inputs for record in part]
    assert run.read_all(shuffle) == [[r for r in records if r[0] % partitions == part] for part in range(partitions)]
    remove(long_bench, shuffle)
    assert long_bench.spill_files == []


@kinds
@pytest.mark.parametrize("map_side", [True, False])
@given(inputs=maps, partitions=st.integers(1, 5), limit=limits)
@settings(max_examples=5)
def test_an_aggregator_combines_each_key_once(
    long_bench: ShuffleBench, kind: Kind, map_side: bool, inputs: list[list[Any]], partitions: int, limit: int
) -> None:
    run, shuffle = Round(long_bench, kind, limit), long_bench.shuffle(partitions, LISTS, map_side)
    run.write(shuffle, *inputs)
    expected: dict[Any, list[Any]] = {}
    for key, value in (record for part in inputs for record in part):
        expected.setdefault(key, []).append(value)
    parts = run.read_all(shuffle)
    assert [sorted(part) for part in parts] == [
        sorted((key, values) for key, values in expected.items() if key % partitions == part)
        for part in range(partitions)
    ]
    remove(long_bench, shuffle)
    assert long_bench.spill_files == []


@kinds
def test_combining_on_the_map_side_shuffles_one_record_per_key(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(2, SUMS, True)
    run.write(shuffle, [("a", 1)] * 1000)
    as_written = shuffle._replace(aggregator=None)
    assert [record for part in run.read_all(as_written) for record in part] == [("a", 1000)]


@kinds
def test_a_shuffle_of_nothing_has_empty_partitions(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(3)
    run.write(shuffle, [], [])
    assert run.read_all(shuffle) == [[], [], []]
    none = bench.shuffle(3)
    run.write(none)
    assert run.read_all(none) == [[], [], []]


@kinds
def test_the_names_of_the_blocks_go_with_their_locations(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(3)
    run.write(shuffle, [(0, "a"), (2, "b")])
    (status,) = run.driver.tables[shuffle.id]
    assert status is not None
    ids = kind.block_ids(shuffle.id, status.map_id, status.blocks)
    assert len(ids) == len(status.blocks)
    for block_id, location in zip(ids, status.blocks, strict=True):
        assert (bench.blocks.get_local_bytes(block_id) is not None) == (location is not None)


def test_a_sort_shuffle_makes_two_blocks_and_a_hash_shuffle_one_per_partition_with_records(bench: ShuffleBench) -> None:
    written = {}
    for kind in KINDS:
        run, shuffle = Round(bench, kind), bench.shuffle(4)
        run.write(shuffle, [(0, "a"), (2, "b")])
        wanted = shuffle.id
        found = [block_id for block_id in bench.blocks.block_ids() if block_id.of_shuffle == wanted]
        written[kind] = {type(block_id) for block_id in found}, len(found)
    assert written[SortShuffleManager] == ({ShuffleDataBlockId, ShuffleIndexBlockId}, 2)
    assert written[HashShuffleManager] == ({ShuffleBlockId}, 2)


@kinds
@pytest.mark.parametrize("limit", [NOTHING, PLENTY])
@pytest.mark.parametrize("aggregator", [None, SUMS])
def test_an_exception_out_of_the_records_leaves_nothing_behind(
    bench: ShuffleBench, kind: Kind, limit: int, aggregator: Aggregator | None
) -> None:
    def broken() -> Iterator[Any]:
        yield from ((n, n) for n in range(200))
        raise ValueError("the input ends here")

    run, shuffle = Round(bench, kind, limit), bench.shuffle(2, aggregator, aggregator is not None)
    with pytest.raises(ValueError, match="ends here"):
        run.write(shuffle, broken())
    assert bench.spill_files == []
    assert bench.blocks.block_ids() == []


@kinds
def test_a_store_that_fails_midway_takes_back_what_it_stored(
    bench: ShuffleBench, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = bench.blocks.put_shared, []

    def second_fails(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise OutOfSharedMemoryError("no room")
        return put(*args, **options)

    run, shuffle = Round(bench, kind), bench.shuffle(2)
    monkeypatch.setattr(bench.blocks, "put_shared", second_fails)
    with pytest.raises(OutOfSharedMemoryError):
        run.write(shuffle, [(0, "a"), (1, "b")])
    assert bench.blocks.block_ids() == []


@kinds
@pytest.mark.parametrize("map_side", [True, False])
def test_unhashable_keys_are_type_errors(bench: ShuffleBench, kind: Kind, map_side: bool) -> None:
    shuffle = bench.shuffle(2, SUMS, map_side)
    with pytest.raises(TypeError, match="unhashable"):
        Round(bench, kind).write(shuffle, [([1], 2)])


@kinds
def test_a_stop_iteration_in_a_reducer_is_an_error_not_a_short_answer(bench: ShuffleBench, kind: Kind) -> None:
    def stop(*_: Any) -> Any:
        raise StopIteration

    run, shuffle = Round(bench, kind), bench.shuffle(1, Aggregator(lambda v: v, lambda a, b: a, stop), True)
    run.write(shuffle, [(1, 1)], [(1, 1)])
    with pytest.raises(RDDError, match="STOP_ITERATION_OCCURRED"):
        run.read(shuffle, 0)


@kinds
def test_a_reducers_spills_go_when_its_task_ends_though_it_did_not_read_to_the_end(
    bench: ShuffleBench, kind: Kind
) -> None:
    run, shuffle = Round(bench, kind, NOTHING), bench.shuffle(1, SUMS, False)
    run.write(shuffle, [(n, 1) for n in range(300)])
    with Task() as task:
        records = run.reader.read(shuffle, 0, task.on_completion)
        next(records)
        assert bench.spill_files
        records.close()  # type: ignore[attr-defined]
    assert bench.spill_files == []


@kinds
def test_what_a_reducer_yields_keeps_no_page_of_a_map_output_in_use(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(1)
    run.write(shuffle, [(0, bytearray(100_000))])
    records = run.read(shuffle, 0)
    assert bench.other.statistics().leases_held == 0
    records[0][1][0] = 1


# --- outputs that cannot be read ---------------------------------------------------------------------------------


def spoil(run: Round, shuffle: Any, map_index: int, change: Any) -> None:
    table = run.driver.tables[shuffle.id]
    status = table[map_index]
    assert status is not None
    table[map_index] = status._replace(blocks=tuple(change(location) for location in status.blocks))


@kinds
@pytest.mark.parametrize("aggregator", [None, SUMS])
def test_an_output_whose_segment_is_gone_fails_the_fetch_by_name(
    bench: ShuffleBench, kind: Kind, aggregator: Aggregator | None
) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(1, aggregator)
    run.write(shuffle, [(0, 1)], [(0, 2)])
    spoil(run, shuffle, 1, lambda location: replace(location, segment=location.segment + "x"))
    with pytest.raises(FetchFailedError) as caught:
        run.read(shuffle, 0)
    assert (caught.value.shuffle_id, list(caught.value.missed)) == (shuffle.id, [1])


@kinds
def test_an_output_beyond_its_segments_end_fails_the_fetch(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(1)
    run.write(shuffle, [(0, 1)])
    spoil(run, shuffle, 0, lambda location: replace(location, offset=1 << 40))
    with pytest.raises(FetchFailedError):
        run.read(shuffle, 0)


@kinds
def test_an_output_whose_bytes_were_damaged_fails_the_fetch(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(1)
    run.write(shuffle, [(0, "hello")])
    status = run.driver.tables[shuffle.id][0]
    assert status is not None
    damage(status.blocks[0], 40)
    with pytest.raises(FetchFailedError):
        run.read(shuffle, 0)


def test_an_index_that_was_damaged_fails_the_fetch(bench: ShuffleBench) -> None:
    run, shuffle = Round(bench, SortShuffleManager), bench.shuffle(2)
    run.write(shuffle, [(0, "hello"), (1, "world")])
    status = run.driver.tables[shuffle.id][0]
    assert status is not None
    damage(status.blocks[1], 15)
    for partition in range(2):
        with pytest.raises(FetchFailedError):
            run.read(shuffle, partition)


def damage(location: Any, at: int) -> None:
    assert isinstance(location, ShmLocation)
    fd = os.open(location.segment, os.O_RDWR)
    byte = os.pread(fd, 1, location.offset + at)
    os.pwrite(fd, bytes([byte[0] ^ 0x7F]), location.offset + at)
    os.close(fd)


@kinds
def test_an_output_that_is_missing_in_the_table_fails_the_fetch(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(1)
    run.write(shuffle, [(0, 1)])
    run.driver.tables[shuffle.id].append(None)
    with pytest.raises(FetchFailedError, match="computed again") as caught:
        run.read(shuffle, 0)
    assert caught.value.missed == {1: None}


def fill_with_zeros(location: Any) -> None:
    fd = os.open(location.segment, os.O_RDWR)
    os.pwrite(fd, bytes(location.length), location.offset)
    os.close(fd)


def flip_last(location: Any) -> None:
    damage(location, location.length - 1)


@kinds
@pytest.mark.parametrize("do", [fill_with_zeros, flip_last, lambda location: damage(location, 0)])
def test_a_fetch_failure_names_all_outputs_that_are_damaged_in_parts_of_others_too(
    bench: ShuffleBench, kind: Kind, do: Any
) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(2)
    run.write(shuffle, *([(0, "a" * 100), (1, "b" * 100)] for _ in range(6)))
    for index in (1, 4, 5):
        status = run.driver.tables[shuffle.id][index]
        assert status is not None
        do(status.blocks[0])
    with pytest.raises(FetchFailedError, match=f"outputs 1, 4, 5 of shuffle {shuffle.id}") as caught:
        run.read_all(shuffle)
    assert list(caught.value.missed) == [1, 4, 5]


def test_a_damaged_array_fails_the_fetch(bench: ShuffleBench) -> None:
    run, shuffle = Round(bench, SortShuffleManager), bench.shuffle(1)
    run.write(shuffle, [(0, bytearray(100_000))], [(0, bytearray(100_000))])
    status = run.driver.tables[shuffle.id][1]
    assert status is not None
    damage(status.blocks[0], 50_000)
    with pytest.raises(FetchFailedError) as caught:
        run.read(shuffle, 0)
    assert list(caught.value.missed) == [1]


def test_an_index_of_zeros_is_no_empty_part(bench: ShuffleBench) -> None:
    run, shuffle = Round(bench, SortShuffleManager), bench.shuffle(2)
    run.write(shuffle, [(0, 1), (1, 1)], [(0, 1)])
    for status in run.driver.tables[shuffle.id]:
        assert status is not None
        fill_with_zeros(status.blocks[1])
    with pytest.raises(FetchFailedError) as caught:
        run.read(shuffle, 1)
    assert list(caught.value.missed) == [0, 1]


@kinds
def test_outputs_in_a_segment_that_was_cut_short_are_named_together(bench: ShuffleBench, kind: Kind) -> None:
    run, shuffle = Round(bench, kind), bench.shuffle(1)
    run.write(shuffle, [(0, "kept")], *([(0, "x" * (1 << 20))] for _ in range(3)))
    outputs = [status.blocks for status in run.driver.tables[shuffle.id] if status is not None]
    place = outputs[1][0]
    assert isinstance(place, ShmLocation)
    size = place.offset + place.length // 2
    os.truncate(place.segment, size)
    lost = [i for i, blocks in enumerate(outputs) if any(b and b.offset + b.length > size for b in blocks)]
    assert lost == [1, 2, 3]
    with pytest.raises(FetchFailedError) as caught:
        run.read(shuffle, 0)
    assert list(caught.value.missed) == [1, 2, 3]
