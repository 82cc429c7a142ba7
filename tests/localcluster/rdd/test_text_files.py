"""Every line of every file is in exactly one partition, whatever the splits, line ends and chunks."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd import text_file_rdd
from localcluster.rdd.file_ranges import file_ranges
from localcluster.rdd.input_paths import InputFile
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs

contents = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", "\u00e9\u2028".encode(), b"\xff"])).map(
    b"".join
)


def plain_lines(data: bytes) -> list[str]:
    return [line.decode("utf-8", "replace") for line in data.splitlines()]


def lines_of(path: Path, splits: int) -> list[list[Any]]:
    lines: list[list[Any]] = LocalContext().textFile(str(path), splits).glom().collect()
    return lines


@jobs
@given(data=contents, splits=st.integers(1, 8), chunk=st.integers(1, 9))
def test_lines_are_those_of_the_whole_file(data: bytes, splits: int, chunk: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_file_rdd, "CHUNK", chunk)
        assert flat(lines_of(path, splits)) == plain_lines(data)


@jobs
@given(data=contents, splits=st.integers(1, 8))
def test_a_split_has_the_lines_that_begin_after_its_offset_and_up_to_its_end(
    data: bytes, splits: int, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_bytes(data)
    ranges = [(part.path, part.start, part.length) for part in file_ranges([InputFile(str(path), len(data))], splits)]
    expected: list[list[str]] = [[] for _ in ranges]
    start = 0
    for line in data.splitlines(keepends=True):
        owner = next(i for i, (_, first, length) in enumerate(ranges) if start <= first + length)
        expected[owner] += plain_lines(line)
        start += len(line)
    assert lines_of(path, splits) == expected


@pytest.mark.parametrize(
    ("extension", "compress"),
    [("gz", gzip.compress), ("GZ", gzip.compress), ("deflate", zlib.compress), ("xz", lzma.compress)],
)
@jobs
@given(data=contents)
def test_compressed_files_are_one_split(extension: str, compress: Any, data: bytes, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("text") / f"file.{extension}"
    path.write_bytes(compress(data))
    assert lines_of(path, 5) == [plain_lines(data)]


def test_a_bzip2_file_counts_as_splittable_and_its_first_split_has_all(tmp_path: Path) -> None:
    (tmp_path / "file.bz2").write_bytes(bz2.compress(b"12\n13\n" * 30))  # partition counts are real Spark's
    assert [len(lines) for lines in lines_of(tmp_path / "file.bz2", 2)] == [60, 0]
    assert [len(lines) for lines in lines_of(tmp_path / "file.bz2", 5)] == [60, 0, 0, 0, 0, 0]


def test_formats_that_python_cannot_read_are_not_read_as_text(sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "file.snappy").write_bytes(b"\0\1\2\n")
    with pytest.raises(NotImplementedError, match=r"no decompressor for \.snappy"):
        sc.textFile(f"{tmp_path}/file.snappy").collect()


@jobs
@given(st.lists(st.integers(0, 100), max_size=5), st.integers(1, 10))
def test_splits_cover_each_file_once_and_none_is_empty(sizes: list[int], wanted: int) -> None:
    files = [InputFile(f"/file{i}", size) for i, size in enumerate(sizes)]
    ranges = [(part.path, part.start, part.length) for part in file_ranges(files, wanted)]
    for path, size in files:
        mine = [(start, length) for name, start, length in ranges if name == path]
        assert [start for start, _ in mine] == [sum(n for _, n in mine[:i]) for i in range(len(mine))]
        assert sum(length for _, length in mine) == size
    assert all(length > 0 for _, _, length in ranges)


def test_large_files_are_split_every_32_mebibytes() -> None:
    assert [part.length >> 20 for part in file_ranges([InputFile("/file", 70 << 20)], 1)] == [32, 32, 6]
    assert len(list(file_ranges([InputFile("/file", 35 << 20)], 1))) == 1


def test_lines_longer_than_a_chunk(tmp_path: Path) -> None:
    lines = ["x" * 700_000, "", "y" * 300_000]
    (tmp_path / "long").write_text("\n".join(lines))
    assert flat(lines_of(tmp_path / "long", 3)) == lines


def test_default_number_of_splits_is_two_at_most(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"line\n" * 100)
    assert LocalContext(8).textFile(str(tmp_path / "file")).getNumPartitions() == 2
    assert LocalContext(1).textFile(str(tmp_path / "file")).getNumPartitions() == 1


def test_bytes_on_request(sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("\u00e9\n".encode())
    assert sc.textFile(str(tmp_path / "file"), use_unicode=False).collect() == ["\u00e9".encode()]


def test_the_rdd_is_named_after_the_path_and_looks_at_it_late(sc: LocalContext, tmp_path: Path) -> None:
    path = tmp_path / "file"
    rdd = sc.textFile(str(path))
    path.write_text("there now\n")
    assert rdd.map(str.upper).collect() == ["THERE NOW"]
    assert rdd.name() == str(path)


def test_a_missing_path_is_named(sc: LocalContext, tmp_path: Path) -> None:
    rdd = sc.textFile(f"{tmp_path}/gone,{tmp_path}/also*").map(len)
    with pytest.raises(FileNotFoundError) as caught:
        rdd.count()
    assert str(caught.value).splitlines() == [
        f"org.apache.hadoop.mapred.InvalidInputException: Input path does not exist: file:{tmp_path}/gone",
        f"Input Pattern file:{tmp_path}/also* matches 0 files",
    ]


@pytest.mark.parametrize("name", ["_hidden", ".hidden"])
def test_hidden_files_do_not_exist(sc: LocalContext, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("secret\n")
    with pytest.raises(FileNotFoundError, match=name):
        sc.textFile(f"{tmp_path}/{name}").count()
    assert sc.textFile(str(tmp_path)).collect() == []


def test_directories_in_directories_are_refused(sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with pytest.raises(IsADirectoryError, match="inner"):
        sc.textFile(str(tmp_path)).count()


def test_other_file_systems_are_refused(sc: LocalContext) -> None:
    with pytest.raises(ValueError, match="hdfs"):
        sc.textFile("hdfs://host/path").count()


def test_an_open_brace_is_an_error(sc: LocalContext, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="brace"):
        sc.textFile(f"{tmp_path}/{{a,b").count()


def test_relative_paths_are_those_of_the_driver(sc: LocalContext, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_text("here\n")
    monkeypatch.chdir(tmp_path)
    rdd = sc.textFile("file")
    rdd.getNumPartitions()
    monkeypatch.chdir("/")
    assert rdd.collect() == ["here"]


def test_reading_only_the_first_lines_leaves_no_file_open(sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"line\n" * 1_000_000)
    assert sc.textFile(f"{tmp_path}/file").take(2) == ["line", "line"]  # the fd check of every test is the proof
