"""Files that are damaged, went away, or lead nowhere: named in errors, or passed over where the settings say so."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcluster.rdd import reading
from localcluster.rdd.input_paths import Directories, input_files
from localcluster.rdd.pickle_files import write_pickles
from protocol.errors import DamagedFileError, FileGoneError, InputPathError
from tests.localcluster.rdd.local_context import LocalContext

RECURSIVE = {"spark.hadoop.mapreduce.input.fileinputformat.input.dir.recursive": "true"}
DAMAGED = {"spark.files.ignoreCorruptFiles": "true"}
MISSING = {"spark.files.ignoreMissingFiles": "true"}
LINES = b"".join(b"%06d\n" % (number * 7919 % 999983) for number in range(20000))
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "deflate": zlib.compress,
}
READERS: list[Callable[[Any, str], Any]] = [
    LocalContext.textFile,
    LocalContext.wholeTextFiles,
    LocalContext.binaryFiles,
    lambda sc, path: sc.binaryRecords(path, 1),
    LocalContext.pickleFile,
]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def changed(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 8]) + data[middle + 8 :]


def replaced(data: bytes) -> bytes:
    return b"nothing of the kind\n"


@pytest.mark.parametrize("damage", [cut, changed, replaced])
@pytest.mark.parametrize("extension", COMPRESSORS)
@pytest.mark.parametrize("read", [LocalContext.textFile, LocalContext.wholeTextFiles])
def test_a_damaged_file_is_named(read: Any, extension: str, damage: Any, tmp_path: Path) -> None:
    path = tmp_path / f"file.{extension}"
    path.write_bytes(damage(COMPRESSORS[extension](LINES)))
    with pytest.raises(DamagedFileError) as caught:
        read(LocalContext(), str(path)).count()
    assert str(caught.value).startswith(f"java.io.IOException: file:{path} cannot be read: ")


@pytest.mark.parametrize("extension", COMPRESSORS)
def test_what_comes_before_the_damage_is_read_if_the_settings_say_so(
    extension: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"a.{extension}").write_bytes(cut(COMPRESSORS[extension](LINES)))
    (tmp_path / "b").write_bytes(b"b\n")
    sc = LocalContext(conf=DAMAGED)
    first, second = sc.textFile(str(tmp_path), 1).glom().collect()
    assert second == ["b"]
    assert first == LINES.decode().split()[: len(first)]
    assert len(first) > 5000 or extension in ("bz2", "xz")  # which decompress in blocks
    assert f"file:{tmp_path}/a.{extension}" in caplog.text
    whole = sc.wholeTextFiles(str(tmp_path)).collect()  # in Spark, the file after the damaged one goes, too
    assert whole == [(f"file:{tmp_path}/b", "b\n")]


def test_the_batches_before_the_damage_are_read_if_the_settings_say_so(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        write_pickles(file, range(1000), 10)
    data = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(changed(data))
    found = LocalContext(conf=DAMAGED).pickleFile(str(tmp_path)).collect()
    assert found == list(range(len(found)))
    assert 400 < len(found) < 600


@pytest.mark.parametrize("read", READERS)
def test_a_link_that_leads_nowhere_is_passed_over_in_a_directory(read: Any, tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    sc = LocalContext()
    assert read(sc, str(tmp_path)).collect() == []
    with pytest.raises(InputPathError, match=f"Input Pattern file:{tmp_path}/n\\* matches 0 files"):
        read(sc, f"{tmp_path}/n*").count()
    with pytest.raises(InputPathError, match=f"Input path does not exist: file:{tmp_path}/nowhere"):
        read(sc, f"{tmp_path}/nowhere").count()
    assert read(LocalContext(conf=MISSING), f"{tmp_path}/nowhere,{tmp_path}/n*").collect() == []


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_goes_away_after_it_was_listed_is_named(read: Any, tmp_path: Path) -> None:
    for conf in ({}, DAMAGED, MISSING):
        (tmp_path / "file").write_bytes(b"text")
        rdd = read(LocalContext(conf=conf), str(tmp_path))
        assert rdd.getNumPartitions() > 0
        os.remove(tmp_path / "file")
        if conf is MISSING:
            assert rdd.collect() == []
            continue
        with pytest.raises(FileGoneError) as caught:
            rdd.collect()
        assert str(caught.value).startswith(f"java.io.FileNotFoundException: File file:{tmp_path}/file does not exist")


def test_a_file_that_may_not_be_read_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: str) -> None:  # root may read all
        raise PermissionError(errno.EACCES, "Permission denied", path)

    (tmp_path / "file").write_bytes(b"text")
    monkeypatch.setattr(reading, "open", refuse, raising=False)
    with pytest.raises(PermissionError, match=str(tmp_path)):
        LocalContext(conf=DAMAGED | MISSING).textFile(str(tmp_path)).count()


@pytest.mark.parametrize("read", READERS)
def test_pipes_are_passed_over_in_directories_and_refused_by_name(read: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read(LocalContext(), str(tmp_path)).collect() == []
    with pytest.raises(InputPathError, match=f"neither a file nor a directory: file:{tmp_path}/pipe"):
        read(LocalContext(), f"{tmp_path}/pipe").count()


def test_directories_that_lead_back_to_where_they_are_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "file").write_bytes(b"once\n")
    (tmp_path / "in" / "deep" / "top").symlink_to(tmp_path)
    (tmp_path / "in" / "self").symlink_to(".")
    (tmp_path / "other").symlink_to("in/deep")  # another way to the same file, as for Spark
    found = [path.removeprefix(f"{tmp_path}/") for path, _ in input_files(str(tmp_path), Directories.READ)]
    assert found == ["in/deep/file", "other/file"]
    assert LocalContext(conf=RECURSIVE).textFile(str(tmp_path)).collect() == ["once", "once"]
