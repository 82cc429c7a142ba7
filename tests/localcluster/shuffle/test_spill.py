"""The gauge that says when to spill, and the file of a spill."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.shuffle.spill import SizeGauge, SpillFile
from storage import serializer
from tests.localcluster.shuffle.bench import ShuffleBench


@given(parts=st.lists(st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=20), max_size=8))
@settings(max_examples=20)
def test_each_part_reads_back_as_written(long_bench: ShuffleBench, parts: list[list[object]]) -> None:
    spill = SpillFile(
        long_bench.disk.create_temp_local_block, (serializer.serialize(part) if part else () for part in parts)
    )
    assert [list(spill.records(number)) for number in range(len(parts))] == parts
    assert [len(spill.part(number)) > 0 for number in range(len(parts))] == [bool(part) for part in parts]
    spill.remove()
    assert long_bench.spill_files == []


def test_the_file_is_private(bench: ShuffleBench) -> None:
    spill = SpillFile(bench.disk.create_temp_local_block, [[b"bytes"]])
    assert os.stat(spill.path).st_mode & 0o777 == 0o600
    spill.remove()


def test_removing_twice_is_the_same_as_once(bench: ShuffleBench) -> None:
    spill = SpillFile(bench.disk.create_temp_local_block, [])
    spill.remove()
    spill.remove()


def test_a_part_that_cannot_be_made_leaves_no_file(bench: ShuffleBench) -> None:
    def parts() -> Iterator[list[bytes]]:
        yield [b"good"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        SpillFile(bench.disk.create_temp_local_block, parts())
    assert bench.spill_files == []


def test_the_gauge_reckons_with_the_mean_of_what_it_saw() -> None:
    gauge = SizeGauge(20_000)
    assert gauge.size_of(1000) == 0
    assert not gauge.is_full(1000)
    gauge.sample(bytes(1000))
    small = gauge.size_of(10)
    assert 10_000 < small < 11_000
    assert not gauge.is_full(10)
    gauge.sample(bytes(3000))
    assert 20_000 < gauge.size_of(10) < 22_000
    assert gauge.is_full(10)
    assert not gauge.fresh().is_full(10)
