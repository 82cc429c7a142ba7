"""Files read whole: keys, decoding, and which files share a partition. The groups are those that PySpark 4.3 made."""

from __future__ import annotations

import bz2
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd.input_paths import InputFile
from localcluster.rdd.whole_files_rdd import packed
from tests.localcluster.rdd.local_context import LocalContext


def write(directory: Path, **contents: bytes) -> str:
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return str(directory)


def groups(sizes: list[int], limit: int) -> list[list[int]]:
    names = packed([InputFile(str(index), size) for index, size in enumerate(sizes)], limit)
    return [[int(name) for name in group] for group in names]


def test_keys_are_uris_and_values_all_there_is(sc: LocalContext, tmp_path: Path) -> None:
    path = write(tmp_path, a=b"1\r\n2\r", b=b"")
    assert sc.wholeTextFiles(path).collect() == [(f"file:{path}/a", "1\r\n2\r"), (f"file:{path}/b", "")]
    assert sc.binaryFiles(path).collect() == [(f"file:{path}/a", b"1\r\n2\r"), (f"file:{path}/b", b"")]


def test_text_that_is_not_utf_8_and_byte_order_marks(sc: LocalContext, tmp_path: Path) -> None:
    path = write(tmp_path, a=b"\xef\xbb\xbfa\xff\xc3\n")
    assert sc.wholeTextFiles(path).values().collect() == ["\ufeffa\ufffd\ufffd\n"]
    expected = [(f"file:{path}/a".encode(), "\ufeffa\ufffd\ufffd\n".encode())]
    assert sc.wholeTextFiles(path, use_unicode=False).collect() == expected


def test_text_is_decompressed_and_bytes_are_not(sc: LocalContext, tmp_path: Path) -> None:
    path = write(tmp_path, **{"a.gz": gzip.compress(b"x"), "b.bz2": bz2.compress(b"y")})
    assert sc.wholeTextFiles(path).values().collect() == ["x", "y"]
    assert gzip.decompress(sc.binaryFiles(f"{path}/a.gz").values().first()) == b"x"


def test_names_are_taken_as_they_are(sc: LocalContext, tmp_path: Path) -> None:
    write(tmp_path, **{"x y%20z": b"1"})
    for path in (f"{tmp_path}/x y%20z", f"file:{tmp_path}/x y%20z", f"file://{tmp_path}/x y%20z"):
        assert sc.wholeTextFiles(path).collect() == [(f"file:{tmp_path}/x y%20z", "1")]


@pytest.mark.parametrize("read", [LocalContext.wholeTextFiles, LocalContext.binaryFiles])
def test_directories_in_a_directory_and_hidden_files_are_left_out(read: Any, sc: LocalContext, tmp_path: Path) -> None:
    write(tmp_path, a=b"1", _b=b"2", **{".c": b"3"})
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner", d=b"4")
    assert [os.path.basename(key) for key in read(sc, str(tmp_path)).keys().collect()] == ["a"]
    assert [os.path.basename(key) for key in read(sc, f"{tmp_path}/*").keys().collect()] == ["a", "d"]


@pytest.mark.parametrize("read", [LocalContext.wholeTextFiles, LocalContext.binaryFiles])
def test_paths_are_looked_up_late_but_must_mean_something_at_once(read: Any, sc: LocalContext, tmp_path: Path) -> None:
    rdd = read(sc, f"{tmp_path}/none")
    assert rdd.name() == f"{tmp_path}/none"
    with pytest.raises(FileNotFoundError, match=f"Input path does not exist: file:{tmp_path}/none"):
        rdd.count()
    for path in ("", "foo://a/b"):
        with pytest.raises(ValueError, match=r"empty string|No FileSystem for scheme"):
            read(sc, path)


@pytest.mark.parametrize(
    ("sizes", "wanted", "expected"),
    [
        ([10, 10, 10], 2, [2, 1]),
        ([10, 10, 10], 1, [3]),
        ([10, 10, 10], 5, [1, 1, 1]),
        ([100] * 7, 2, [4, 3]),
        ([100] * 7, 3, [3, 3, 1]),
        ([100] * 7, 5, [2, 2, 2, 1]),
        ([2, 6, 1, 3, 1, 4, 9, 5], 2, [6, 2]),
        ([2, 6, 1, 3, 1, 4, 9, 5], 3, [4, 3, 1]),
        ([2, 6, 1, 3, 1, 4, 9, 5], 5, [2, 4, 1, 1]),
        ([2, 6, 1, 3, 1, 4, 9, 5], 10, [2, 2, 2, 1, 1]),
        ([0, 0, 5], 2, [1, 2]),
        ([0], 3, [1]),
        ([], 3, []),
    ],
)
def test_texts_share_partitions_as_in_spark(
    sizes: list[int], wanted: int, expected: list[int], sc: LocalContext, tmp_path: Path
) -> None:
    path = write(tmp_path, **{str(index): b"x" * size for index, size in enumerate(sizes)})
    assert sc.wholeTextFiles(path, wanted).glom().map(len).collect() == expected
    assert sc.binaryFiles(path, wanted).getNumPartitions() == bool(sizes)  # opening each counts for 4 MiB


@given(st.lists(st.integers(0, 9)), st.integers(0, 20))
def test_each_file_is_in_one_group_and_no_group_grows_beyond_its_limit(sizes: list[int], limit: int) -> None:
    made = groups(sizes, limit)
    assert sorted(index for group in made for index in group) == list(range(len(sizes)))
    assert all(made)
    assert all(sum(sizes[index] for index in group[:-1]) < limit for group in made) or not limit
