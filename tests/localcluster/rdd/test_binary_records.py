"""Records of one length: where files are cut, and what is no such file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from localcluster.rdd import binary_records_rdd
from protocol.errors import InputDirectoryError, SparkException
from tests.localcluster.rdd.local_context import LocalContext


def test_records_of_all_files_and_none_of_empty_ones(sc: LocalContext, tmp_path: Path) -> None:
    for name, content in (("a", b"abcdef"), ("b", b""), ("c", b"gh")):
        (tmp_path / name).write_bytes(content)
    assert sc.binaryRecords(str(tmp_path), 2).glom().collect() == [[b"ab", b"cd", b"ef"], [b"gh"]]


def test_large_files_are_cut_where_records_end(sc: LocalContext, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(binary_records_rdd, "LARGEST", 8)
    (tmp_path / "a").write_bytes(bytes(range(30)))
    parts = sc.binaryRecords(f"{tmp_path}/a", 3).glom().collect()
    assert [len(part) for part in parts] == [2, 2, 2, 2, 2]
    assert b"".join(record for part in parts for record in part) == bytes(range(30))
    assert sc.binaryRecords(f"{tmp_path}/a", 10).glom().map(len).collect() == [1, 1, 1]


@pytest.mark.parametrize("length", [4, 100])
def test_a_file_that_ends_within_a_record_fails_the_job(length: int, sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcdefg")
    with pytest.raises(SparkException, match="ends within a record"):
        sc.binaryRecords(str(tmp_path), length).collect()


def test_what_cannot_hold_such_records(sc: LocalContext, tmp_path: Path) -> None:
    for length in (0, -1):
        with pytest.raises(ValueError, match="recordLength"):
            sc.binaryRecords(str(tmp_path), length)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"ab"))
    with pytest.raises(SparkException, match="compressed"):
        sc.binaryRecords(str(tmp_path), 2).collect()
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputDirectoryError, match="inner"):
        sc.binaryRecords(str(tmp_path), 2).count()
