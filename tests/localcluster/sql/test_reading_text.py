"""``spark.read.text(...).rdd``: rows, partitions and errors as Spark's; the cases were run on PySpark 4.3, local[2]."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.sql.reader import DataFrameReader
from localcluster.sql.row import Row
from localcluster.sql.session_conf import RuntimeConfig
from protocol.errors import NoDataFramesError, PySparkNotImplementedError
from protocol.sql_errors import AnalysisException
from tests.localcluster.rdd.local_context import LocalContext


@pytest.fixture
def read() -> DataFrameReader:
    return DataFrameReader(SimpleNamespace(sparkContext=LocalContext(), conf=RuntimeConfig({})))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"b a b\nc\n\nlast")
    (tmp_path / "b.txt").write_bytes(b"x\r\ny\rz\n")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"b a b\nc\n"))
    return tmp_path


def values(partitions: list[list[Row]]) -> list[list[str]]:
    return [[row.value for row in rows] for rows in partitions]


def test_each_line_is_a_row_with_a_field_value(read: DataFrameReader, files: Path) -> None:
    frame = read.text("a.txt")
    first, *_ = rows = frame.rdd.collect()
    assert [row[0] for row in rows] == ["b a b", "c", "", "last"]
    assert first == ("b a b",)
    assert (first.value, first["value"], repr(first)) == ("b a b", "b a b", "Row(value='b a b')")
    assert frame.columns == ["value"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("b.txt", [["x", "y", "z"]]),
        ("a.txt.gz", [["b a b", "c"]]),
        (["a.txt", "b.txt"], [["b a b", "c", "", "last"], ["x", "y", "z"]]),
        ("*.txt", [["b a b", "c", "", "last"], ["x", "y", "z"]]),
        ("empty.txt", []),
        ([], []),
    ],
)
def test_files_become_the_partitions_that_spark_makes(
    read: DataFrameReader, files: Path, paths: Any, expected: list[list[str]]
) -> None:
    assert values(read.text(paths).rdd.glom().collect()) == expected


def test_a_large_file_is_cut_into_ranges_of_a_size_that_gives_every_core_one(
    read: DataFrameReader, files: Path
) -> None:
    (files / "large.txt").write_bytes((b"x" * 99 + b"\n") * 120_000)
    rdd = read.text("large.txt").rdd
    assert rdd.ctx.defaultParallelism == 2
    assert rdd.glom().map(len).collect() == [80972, 39028]


def test_many_small_files_share_partitions(read: DataFrameReader, files: Path) -> None:
    for number in range(10):
        (files / f"small{number}.txt").write_text(f"{number}\n")
    partitions = values(read.text("small*.txt").rdd.glom().collect())
    assert sorted(line for lines in partitions for line in lines) == [str(number) for number in range(10)]
    assert list(map(len, partitions)) == [5, 5]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"wholetext": True}, ["b a b\nc\n\nlast"]),
        ({"lineSep": " "}, ["b", "a", "b\nc\n\nlast"]),
    ],
)
def test_options_may_be_arguments_or_set_before(
    read: DataFrameReader, files: Path, options: dict[str, Any], expected: list[str]
) -> None:
    def lines(frame: Any) -> list[str]:
        return [row.value for row in frame.rdd.collect()]

    assert lines(read.text("a.txt", **options)) == expected
    assert lines(DataFrameReader(read._spark).options(**options).text("a.txt")) == expected
    assert lines(DataFrameReader(read._spark).format("text").load("a.txt", **options)) == expected


def test_damaged_and_missing_files_are_passed_over_where_settings_or_options_say_so(files: Path) -> None:
    (files / "cut.txt.gz").write_bytes(gzip.compress(b"1\n2\n")[:-8])
    session = SimpleNamespace(sparkContext=LocalContext(), conf=RuntimeConfig({}))

    def read_what_is_left(**options: bool) -> list[str]:
        frame = DataFrameReader(session).options(**options).text(["cut.txt.gz", "a.txt"])  # type: ignore[arg-type]
        text = (files / "a.txt").read_bytes()
        (files / "a.txt").unlink()
        try:
            return [row.value for row in frame.rdd.collect()]
        finally:
            (files / "a.txt").write_bytes(text)

    with pytest.raises(FileNotFoundError, match=r"a\.txt"):
        read_what_is_left(ignoreCorruptFiles=True)
    with pytest.raises(OSError, match=r"cut\.txt\.gz cannot be read"):
        read_what_is_left(ignoreMissingFiles=True)
    assert read_what_is_left(ignoreMissingFiles=True, ignoreCorruptFiles=True) == ["1", "2"]
    session.conf.set("spark.sql.files.ignoreCorruptFiles", True)
    session.conf.set("spark.sql.files.ignoreMissingFiles", "true")
    assert read_what_is_left() == ["1", "2"]
    with pytest.raises(FileNotFoundError, match=r"a\.txt"):
        read_what_is_left(ignoreMissingFiles=False)


@pytest.mark.parametrize("path", ["nope.txt", "a.txt,b.txt", "nope*.txt"])
def test_a_path_that_does_not_exist_is_an_error_at_once(read: DataFrameReader, files: Path, path: str) -> None:
    with pytest.raises(AnalysisException) as caught:
        read.text(path)
    assert caught.value.getCondition() == "PATH_NOT_FOUND"
    assert f"[PATH_NOT_FOUND] Path does not exist: file:{files}/{path}" in str(caught.value)


def test_what_is_not_there_says_what_to_use(read: DataFrameReader, files: Path) -> None:
    with pytest.raises(NoDataFramesError, match=r"'DataFrameReader' has no attribute 'csv' here: SQL and DataFrames"):
        read.csv("a.txt")
    with pytest.raises(NoDataFramesError, match=r"'DataFrame' has no attribute 'select'.*its \.rdd"):
        read.text("a.txt").select("value")
    with pytest.raises(NoDataFramesError):
        read.format("parquet")
    with pytest.raises(PySparkNotImplementedError, match="recursiveFileLookup"):
        read.text("a.txt", recursiveFileLookup=True)
    assert not hasattr(read.text("a.txt"), "show")


def test_paths_may_be_path_objects(read: DataFrameReader, files: Path) -> None:
    expected = ["b a b", "c", "", "last"]
    for paths in (files / "a.txt", [files / "a.txt"], {str(files / "a.txt")}):
        assert [row.value for row in read.text(paths).rdd.collect()] == expected
        assert [row.value for row in read.load(paths).rdd.collect()] == expected
    for wrong in (None, b"a.txt", 5, [b"a.txt"]):
        with pytest.raises(
            TypeError, match=r"paths of text must be a str or an os.PathLike of str, not (None|bytes|int)"
        ):
            read.text(wrong)  # type: ignore[arg-type]
