"""Sorting in memory and through a spill file, against `sorted`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.shuffle.sorter import Sorter
from localcluster.shuffle.spill import SizeGauge
from protocol.errors import SerializationError
from storage import os_layer
from tests.localcluster.shuffle.bench import NOTHING, PLENTY, ShuffleBench

numbered = st.lists(st.integers(-3, 3), max_size=300).map(lambda keys: list(zip(keys, range(len(keys)), strict=True)))


class Backwards:
    """Has ``<`` and nothing else that compares."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: Backwards) -> bool:
        return other.number < self.number


def key_of(record: tuple[int, int]) -> Any:
    return record[0]


def backwards(record: tuple[int, int]) -> Any:
    return Backwards(record[0])


def sort(records: Any, bench: ShuffleBench, limit: int, key: Any = None, reverse: bool = False) -> Iterator[Any]:
    return Sorter(key, reverse, SizeGauge(limit)).sort(records, bench.disk)


@given(
    rows=numbered,
    limit=st.sampled_from([NOTHING, 500, 5000, PLENTY]),
    key=st.sampled_from([None, key_of, backwards]),
    reverse=st.booleans(),
)
@settings(max_examples=60)
def test_the_order_is_that_of_sorted(
    long_bench: ShuffleBench, rows: list[tuple[int, int]], limit: int, key: Any, reverse: bool
) -> None:
    assert list(sort(rows, long_bench, limit, key, reverse)) == sorted(rows, key=key, reverse=reverse)
    assert long_bench.spill_files == []


def test_thousands_of_runs_take_one_file_and_one_mapping(bench: ShuffleBench, monkeypatch: pytest.MonkeyPatch) -> None:
    created = []
    create = os_layer.create
    monkeypatch.setattr(os_layer, "create", lambda path: created.append(path) or create(path))
    assert list(sort(range(3000, 0, -1), bench, NOTHING)) == list(range(1, 3001))
    assert len(created) == 1


def test_what_was_spilled_has_no_name_while_it_is_read(bench: ShuffleBench) -> None:
    records = sort(range(3000, 0, -1), bench, NOTHING)
    assert next(records) == 1
    assert bench.spill_files == []


def test_an_exception_out_of_the_records_leaves_no_file(bench: ShuffleBench) -> None:
    seen = []

    def broken() -> Iterator[int]:
        yield from range(3000)
        seen.extend(bench.spill_files)
        raise KeyError("the input ends here")

    with pytest.raises(KeyError):
        sort(broken(), bench, NOTHING)
    assert [name.startswith("temp_local_") for name in seen] == [True]
    assert bench.spill_files == []


def test_records_that_cannot_be_compared_are_a_type_error_in_memory_and_on_disk(bench: ShuffleBench) -> None:
    for limit in (NOTHING, PLENTY):
        with pytest.raises(TypeError, match="'<' not supported"):
            list(sort([1, "a", 2, "b"], bench, limit))
    assert bench.spill_files == []


def test_a_record_that_cannot_be_pickled_matters_only_when_it_must_be_spilled(bench: ShuffleBench) -> None:
    rows = [(i, iter([])) for i in range(10)]
    generators = [(i, (each for each in [])) for i in range(10)]
    assert list(sort(rows, bench, PLENTY, itemgetter(0))) == rows
    with pytest.raises(SerializationError, match="generator"):
        list(sort(generators, bench, NOTHING, itemgetter(0)))
    assert bench.spill_files == []


def test_a_full_disk_is_an_os_error_that_leaves_no_file(bench: ShuffleBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os_layer, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: '/.*temp_local_"):
        sort(range(3000), bench, NOTHING)
    assert bench.spill_files == []


def test_a_write_that_is_reported_as_failed_by_close_leaves_no_file(
    bench: ShuffleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(fd: int) -> None:
        os.close(fd)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os_layer, "close", failing)
    with pytest.raises(OSError, match=r"Input/output error: '/.*temp_local_"):
        sort(range(3000), bench, NOTHING)
    assert bench.spill_files == []
