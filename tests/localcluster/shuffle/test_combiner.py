"""Combining by key, in memory and through spill files, against a plain dict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.shuffle import combiner as combiner_module
from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.combiner import Combiner
from localcluster.shuffle.spill import SizeGauge
from protocol.errors import RDDError
from storage import os_layer
from tests.localcluster.shuffle.bench import LISTS, NOTHING, PLENTY, SUMS, ShuffleBench

keys = st.one_of(st.integers(-3, 50), st.text("ab", max_size=2), st.none(), st.tuples(st.integers(0, 5), st.none()))
records = st.lists(st.tuples(keys, st.integers(0, 9)), max_size=200)
limits = st.sampled_from([NOTHING, 500, 5000, PLENTY])


def grouped(rows: list[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return groups


def combiner_of(aggregator: Aggregator, limit: int, bench: ShuffleBench) -> Combiner:
    return Combiner(aggregator.mergeCombiners, SizeGauge(limit), bench.disk)


def add_all(combiner: Combiner, aggregator: Aggregator, rows: Iterable[tuple[Any, Any]]) -> None:
    combiner.add(rows, aggregator.createCombiner, aggregator.mergeValue)


@given(rows=records, limit=limits)
@settings(max_examples=25)
def test_values_of_a_key_are_combined_in_order(
    long_bench: ShuffleBench, rows: list[tuple[Any, Any]], limit: int
) -> None:
    with combiner_of(LISTS, limit, long_bench) as combiner:
        add_all(combiner, LISTS, rows)
        items = list(combiner.items())
    assert dict(items) == grouped(rows)
    assert len(items) == len(dict(items)), "a key came twice"
    assert long_bench.spill_files == []


@given(parts=st.lists(records, max_size=3), limit=limits)
@settings(max_examples=15)
def test_combiners_of_several_inputs_are_merged_in_order(
    long_bench: ShuffleBench, parts: list[list[tuple[Any, Any]]], limit: int
) -> None:
    with combiner_of(LISTS, limit, long_bench) as combiner:
        for part in parts:
            combiner.add_combiners(grouped(part).items())
        assert dict(combiner.items()) == grouped([row for part in parts for row in part])


def test_keys_come_in_order_of_appearance_when_nothing_was_spilled(bench: ShuffleBench) -> None:
    with combiner_of(SUMS, PLENTY, bench) as combiner:
        add_all(combiner, SUMS, [("b", 1), ("a", 1), ("b", 1), ("c", 1)])
        assert list(combiner.items()) == [("b", 2), ("a", 1), ("c", 1)]


def test_past_the_limit_the_dictionary_goes_to_disk_and_closing_removes_it(bench: ShuffleBench) -> None:
    combiner = combiner_of(SUMS, NOTHING, bench)
    add_all(combiner, SUMS, ((n % 1000, 1) for n in range(5000)))
    assert {name[:11] for name in bench.spill_files} == {"temp_local_"}
    combiner.close()
    assert bench.spill_files == []
    combiner.close()


def test_a_single_key_is_never_spilled(bench: ShuffleBench) -> None:
    with combiner_of(SUMS, NOTHING, bench) as combiner:
        add_all(combiner, SUMS, (("key", 1) for _ in range(3000)))
        assert bench.spill_files == []
        assert list(combiner.items()) == [("key", 3000)]


def test_keys_that_all_collide_end_in_memory_instead_of_spilling_for_ever(
    bench: ShuffleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(combiner_module, "portable_hash", lambda key: 7)
    with combiner_of(SUMS, NOTHING, bench) as combiner:
        add_all(combiner, SUMS, ((n, n) for n in range(40)))
        assert dict(combiner.items()) == {n: n for n in range(40)}


def test_a_bucket_that_is_too_large_is_spilled_by_another_hash(bench: ShuffleBench) -> None:
    with combiner_of(SUMS, 2000, bench) as combiner:
        add_all(combiner, SUMS, ((n % 1500, 1) for n in range(3000)))
        items = combiner.items()
        first, files = next(items), len(bench.spill_files)
        assert dict([first, *items]) == dict.fromkeys(range(1500), 2)
        assert files > len(bench.spill_files), "spills of a bucket stay until its end only"


@pytest.mark.parametrize("limit", [NOTHING, PLENTY])
def test_closing_the_iterator_midway_removes_the_spills_of_its_buckets(bench: ShuffleBench, limit: int) -> None:
    with combiner_of(SUMS, limit, bench) as combiner:
        add_all(combiner, SUMS, ((n, 1) for n in range(3000)))
        items = combiner.items()
        next(items)
        if limit is NOTHING:
            items.close()  # type: ignore[attr-defined]
    assert bench.spill_files == []


def test_an_exception_out_of_the_records_leaves_no_file_behind(bench: ShuffleBench) -> None:
    def broken() -> Any:
        yield from ((n, 1) for n in range(3000))
        raise OSError("the input ends here")

    with (
        pytest.raises(OSError, match="the input ends here"),
        combiner_of(SUMS, NOTHING, bench) as combiner,
    ):
        add_all(combiner, SUMS, broken())
    assert bench.spill_files == []


@pytest.mark.parametrize("limit", [NOTHING, PLENTY])
def test_an_unhashable_key_is_a_type_error(bench: ShuffleBench, limit: int) -> None:
    with combiner_of(SUMS, limit, bench) as combiner, pytest.raises(TypeError, match="unhashable"):
        add_all(combiner, SUMS, [("a", 1), ([1], 2)])


def stop(*_: Any) -> Any:
    raise StopIteration("from the user")


@pytest.mark.parametrize("aggregator", [Aggregator(stop, stop, stop), Aggregator(lambda v: v, stop, stop)])
def test_a_stop_iteration_out_of_a_function_does_not_end_the_loop_in_silence(
    bench: ShuffleBench, aggregator: Aggregator
) -> None:
    with (
        combiner_of(aggregator, PLENTY, bench) as combiner,
        pytest.raises(RDDError, match="StopIteration"),
    ):
        add_all(combiner, aggregator, [(1, 1), (1, 2)])


def test_a_stop_iteration_while_spills_are_merged_is_an_error_too(bench: ShuffleBench) -> None:
    aggregator = Aggregator(lambda v: v, lambda a, b: a, stop)
    with combiner_of(aggregator, NOTHING, bench) as combiner:
        add_all(combiner, aggregator, [(n % 8, 1) for n in range(3000)])
        with pytest.raises(RDDError, match="StopIteration"):
            list(combiner.items())
    assert bench.spill_files == []


def test_a_full_disk_is_an_os_error_that_leaves_no_file(bench: ShuffleBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with combiner_of(SUMS, NOTHING, bench) as combiner:
        monkeypatch.setattr(os_layer, "write", full)
        with pytest.raises(OSError, match="No space left"):
            add_all(combiner, SUMS, ((n, 1) for n in range(3000)))
        assert bench.spill_files == []


def test_closing_removes_the_spills_of_a_bucket_that_is_being_read(bench: ShuffleBench) -> None:
    """A traceback can keep the iterator alive after its task."""
    combiner = combiner_of(SUMS, NOTHING, bench)
    add_all(combiner, SUMS, ((n, 1) for n in range(3000)))
    items = combiner.items()
    next(items)
    combiner.close()
    assert bench.spill_files == []
    del items
