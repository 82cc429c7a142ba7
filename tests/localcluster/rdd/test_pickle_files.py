"""What `saveAsPickleFile` writes is read again, whole or in ranges; other files are refused."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd import pickle_file_rdd, pickle_files
from localcluster.rdd.pickle_files import read_pickles, write_pickles
from protocol.errors import OutputExistsError, SparkException
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, partitions

records = st.one_of(st.none(), st.integers(), st.text(max_size=4), st.tuples(st.binary(max_size=4), st.floats(0, 1)))


@jobs
@given(parts=partitions(records), batch_size=st.sampled_from([10, 1, 3, 0, -1]))
def test_what_is_written_is_read_again(parts: Any, batch_size: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("out") / "result"
    sc = LocalContext()
    sc.parts(parts).saveAsPickleFile(str(path), batch_size)
    names = sorted(entry.name for entry in path.iterdir())
    assert names == ["_SUCCESS", *(f"part-{i:05d}" for i in range(len(parts)))]
    assert sc.pickleFile(str(path), 7).glom().collect() == parts  # too small to be cut, empty ones are partitions
    assert sc.pickleFile(f"file:{path}/part-0*").collect() == flat(parts)


@jobs
@given(count=st.integers(0, 60), batch_size=st.integers(1, 5), stride=st.integers(1, 60), width=st.integers(1, 200))
def test_each_batch_belongs_to_one_range(
    count: int, batch_size: int, stride: int, width: int, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("pickles") / "file"
    with pytest.MonkeyPatch.context() as patch, open(path, "wb") as file:
        patch.setattr(pickle_files, "STRIDE", stride)
        write_pickles(file, range(count), batch_size)
    ranges = range(0, path.stat().st_size, width)
    assert [value for start in ranges for value in read_pickles(str(path), start, width)] == list(range(count))


def test_large_files_are_cut_into_about_as_many_ranges_as_asked_for(sc: LocalContext, tmp_path: Path) -> None:
    sc.parallelize([b"%04d" % i * 250 for i in range(400)], 1).saveAsPickleFile(f"{tmp_path}/out")
    assert sc.pickleFile(f"{tmp_path}/out", 1).getNumPartitions() == 1
    sizes = sc.pickleFile(f"{tmp_path}/out", 3).glom().map(len).collect()
    assert (len(sizes), sum(sizes), min(sizes) > 0) == (3, 400, True)
    pieces = sc.pickleFile(f"{tmp_path}/out", 1000).getNumPartitions()
    assert pieces == -(-(tmp_path / "out" / "part-00000").stat().st_size // pickle_file_rdd.SMALLEST_RANGE)


def test_arrays_that_were_read_only_are_writable_when_they_are_read(tmp_path: Path) -> None:
    array = np.arange(3)
    array.flags.writeable = False  # as those of OFF_HEAP blocks are in tasks
    with open(tmp_path / "file", "wb") as file:
        write_pickles(file, [array], 0)
    (copy,) = read_pickles(str(tmp_path / "file"), 0, 1 << 20)
    copy += 1
    assert copy.tolist() == [1, 2, 3]


def test_batches_hold_as_many_records_as_asked_for() -> None:
    def batches(batch_size: int) -> list[int]:
        file = io.BytesIO()
        write_pickles(file, iter(range(7)), batch_size)
        data, sizes = file.getvalue(), []
        position = len(pickle_files.MAGIC)
        end = int.from_bytes(data[-20:-12], "little")
        while position < end:
            length = int.from_bytes(data[position : position + 4], "little")
            sizes.append(len(pickle.loads(data[position + 8 : position + 8 + length])))
            position += 8 + length
        return sizes

    assert batches(3) == [3, 3, 1]
    assert batches(-1) == [7]
    assert batches(0) == [1, 2, 4]


@pytest.mark.parametrize("content", [b"", b"1\n", b"x" * 100, pickle_files.MAGIC, pickle_files.MAGIC * 2])
def test_files_of_another_kind_are_refused(content: bytes, sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(SparkException, match=f"file:{tmp_path}/other is not a pickle file"):
        list(read_pickles(f"{tmp_path}/other", 0, 100))


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as file:
        write_pickles(file, range(100), 10)
    for size in range(path.stat().st_size):
        (tmp_path / "cut").write_bytes(path.read_bytes()[:size])
        with pytest.raises(SparkException, match="not all of one"):
            list(read_pickles(f"{tmp_path}/cut", 0, size))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as file:
        write_pickles(file, range(100), 10)
    for position in range(path.stat().st_size):
        damaged = bytearray(path.read_bytes())
        damaged[position] ^= 0x10
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(SparkException, match=r"is damaged|not a pickle file"):
            list(read_pickles(f"{tmp_path}/damaged", 0, len(damaged)))


def test_what_exists_is_not_overwritten_and_failures_leave_nothing(sc: LocalContext, tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match=f"Output directory file:{tmp_path} already exists"):
        sc.parallelize([1]).saveAsPickleFile(str(tmp_path))
    with pytest.raises(pickle.PicklingError):
        sc.parallelize([1, 2], 2).map(lambda x: (i for i in range(x))).saveAsPickleFile(f"{tmp_path}/out")
    assert list((tmp_path / "out").iterdir()) == []
