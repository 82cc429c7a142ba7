"""What `saveAsTextFile` writes, and what it leaves when it fails."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import SparkException
from storage import os_layer
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, partitions
from tests.support import fails

HADOOP = "org.apache.hadoop.io.compress."
lines = partitions(st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), max_size=5))


@pytest.mark.parametrize(
    ("codec", "extension"),
    [(None, ""), ("GzipCodec", ".gz"), ("BZip2Codec", ".bz2"), ("DefaultCodec", ".deflate")],
)
@jobs
@given(parts=lines)
def test_what_is_written_is_read_again(codec: str | None, extension: str, parts: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("out") / "result"
    sc = LocalContext()
    sc.parts(parts).saveAsTextFile(str(path), codec and HADOOP + codec)
    names = sorted(entry.name for entry in path.iterdir())
    assert names == ["_SUCCESS", *(f"part-{i:05d}{extension}" for i in range(len(parts)))]
    assert sc.textFile(str(path), 1).collect() == flat(parts)


def test_records_are_written_as_text(sc: LocalContext, tmp_path: Path) -> None:
    sc.parallelize(["\u00e9", b"b\xff", 3, None, ("x", 1)], 2).saveAsTextFile(f"{tmp_path}/out")
    written = [(tmp_path / "out" / f"part-0000{i}").read_bytes() for i in range(2)]
    assert written == ["\u00e9\nb\ufffd\n".encode(), b"3\nNone\n('x', 1)\n"]


def test_what_exists_is_not_overwritten(sc: LocalContext, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        sc.parallelize([1]).saveAsTextFile(f"file://{tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_job_leaves_neither_parts_nor_success(sc: LocalContext, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        sc.parallelize([1, 0], 2).map(lambda x: 1 / x).saveAsTextFile(f"{tmp_path}/out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_attempts_make_while_they_are_removed_does_not_hide_why_the_job_failed(
    sc: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, calls = os_layer.remove_what_can_be, []

    def remove_around_an_attempt(path: str) -> None:
        remove(path)
        calls.append(path)
        if len(calls) < 3:
            (Path(path) / "new").mkdir(parents=True)

    monkeypatch.setattr(os_layer, "remove_what_can_be", remove_around_an_attempt)
    with pytest.raises(ZeroDivisionError):
        sc.parallelize([1, 0], 2).map(lambda x: 1 / x).saveAsTextFile(f"{tmp_path}/out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("codec", [None, "GzipCodec", "BZip2Codec", "DefaultCodec"])
@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("make_directories", errno.ENOSPC),
        ("open_output", errno.EMFILE),
        ("write", errno.ENOSPC),
        ("rename", errno.ENOSPC),
    ],
)
def test_what_the_system_refuses_is_an_error_and_leaves_no_output(
    sc: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str | None, call: str, number: int
) -> None:
    rdd = sc.parallelize(["a", "b"], 2)
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, call, fails(number))
        with pytest.raises((OSError, SparkException), match=os.strerror(number)):
            rdd.saveAsTextFile(f"{tmp_path}/out", codec and HADOOP + codec)
    assert list(tmp_path.glob("out/*")) == []
    rdd.saveAsTextFile(f"{tmp_path}/again", codec and HADOOP + codec)
    assert sc.textFile(f"{tmp_path}/again").collect() == ["a", "b"]


def test_unknown_codecs_are_refused_at_once(sc: LocalContext, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"SnappyCodec.*GzipCodec"):
        sc.parallelize([1]).saveAsTextFile(f"{tmp_path}/out", HADOOP + "SnappyCodec")
    assert list(tmp_path.iterdir()) == []


def test_other_programs_can_read_the_compressed_parts(sc: LocalContext, tmp_path: Path) -> None:
    sc.parallelize([1, 2], 1).saveAsTextFile(f"{tmp_path}/out", HADOOP + "GzipCodec")
    assert gzip.decompress((tmp_path / "out" / "part-00000.gz").read_bytes()) == b"1\n2\n"
