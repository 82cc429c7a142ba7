"""Records between delimiters are those of the whole file, whatever its ranges; also where delimiters overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd import delimited, text_file_rdd
from localcluster.rdd.file_ranges import FileRange
from localcluster.rdd.reading import Tolerance
from localcluster.rdd.text_file_rdd import text_blocks
from tests.localcluster.rdd.models import flat, jobs

delimiters = st.sampled_from([b";", b"ab", b"aa", b"aba", b"\n\n", b"aab", b"abab", "\u00e9".encode()])
contents = st.lists(st.sampled_from([b"a", b"b", b"aa", b"aba", b";", b"\n", b"\r", "\u00e9".encode(), b"\xff"])).map(
    b"".join
)


def records_from_the_beginning(data: bytes, delimiter: bytes) -> list[tuple[int, bytes]]:
    """Each with the place of the delimiter before it, -1 for the first."""
    found, before, start = [], -1, 0
    while (end := data.find(delimiter, start)) >= 0:
        found.append((before, data[start:end]))
        before, start = end, end + len(delimiter)
    return [*found, (before, data[start:])] if start < len(data) else found


def read(path: Path, start: int, length: int, delimiter: bytes) -> list[str]:
    return flat(list(text_blocks(FileRange(0, str(path), start, length), delimiter, Tolerance())))


@jobs
@given(data=contents, delimiter=delimiters, width=st.integers(1, 9), chunk=st.integers(1, 9))
def test_a_range_owns_the_records_behind_the_delimiters_that_begin_in_it(
    data: bytes, delimiter: bytes, width: int, chunk: int, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_bytes(data)
    records = records_from_the_beginning(data, delimiter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_file_rdd, "CHUNK", chunk)
        patch.setattr(delimited, "WINDOW", chunk)
        for start in range(0, len(data), width):
            places = range(start or -1, start + width)
            expected = [record.decode("utf-8", "replace") for place, record in records if place in places]
            assert read(path, start, min(width, len(data) - start), delimiter) == expected


def test_records_longer_than_a_chunk(tmp_path: Path) -> None:
    records = ["x" * 700_000, "", "y" * 300_000]
    (tmp_path / "long").write_text("--".join(records))
    assert read(tmp_path / "long", 0, 2_000_000, b"--") == records
