"""Whatever takes a path takes an ``os.PathLike``, and refuses all else at the call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.localcluster.rdd.local_context import LocalContext

READERS = {
    "name of textFile": LocalContext.textFile,
    "path of wholeTextFiles": LocalContext.wholeTextFiles,
    "path of binaryFiles": LocalContext.binaryFiles,
    "path of binaryRecords": lambda sc, path: sc.binaryRecords(path, 1),
    "name of pickleFile": LocalContext.pickleFile,
    "dirName of setCheckpointDir": LocalContext.setCheckpointDir,
    "name of _checkpointFile": LocalContext._checkpointFile,
}
WRITERS = {
    "path of saveAsTextFile": lambda sc, path: sc.range(3).saveAsTextFile(path),
    "path of saveAsPickleFile": lambda sc, path: sc.range(3).saveAsPickleFile(path),
}


class BytesPath(os.PathLike[Any]):
    def __fspath__(self) -> bytes:
        return b"/tmp"

    def __repr__(self) -> str:
        return "BytesPath()"


@pytest.mark.parametrize("wrong", [None, b"/tmp", 5, ["/tmp"], BytesPath()], ids=repr)
@pytest.mark.parametrize("parameter", [*READERS, *WRITERS])
def test_what_is_no_path_is_refused_at_the_call(parameter: str, wrong: Any, sc: LocalContext) -> None:
    with pytest.raises(
        TypeError, match=f"{parameter} must be a str or an os.PathLike of str, not {type(wrong).__name__}"
    ):
        (READERS | WRITERS)[parameter](sc, wrong)


def test_path_objects_are_paths(sc: LocalContext, tmp_path: Path) -> None:
    sc.range(3).saveAsTextFile(tmp_path / "text")
    sc.range(3).saveAsPickleFile(tmp_path / "pickles")
    text = sc.textFile(tmp_path / "text")
    assert (text.collect(), text.name()) == (["0", "1", "2"], f"{tmp_path}/text")
    assert sc.pickleFile(tmp_path / "pickles").collect() == [0, 1, 2]
    assert sc.wholeTextFiles(tmp_path / "text").values().collect() == ["0\n", "1\n2\n"]
    assert sc.binaryFiles(tmp_path / "text" / "part-00000").collect() == [(f"file:{tmp_path}/text/part-00000", b"0\n")]
    assert sc.binaryRecords(tmp_path / "text", 2).collect() == [b"0\n", b"1\n", b"2\n"]
    sc.setCheckpointDir(tmp_path / "checkpoints")
    rdd = sc.range(3)
    rdd.checkpoint()
    rdd.count()
    directory = rdd.getCheckpointFile()
    assert directory is not None
    assert directory.startswith(f"file:{tmp_path}/checkpoints/")
    assert sc._checkpointFile(Path(directory.removeprefix("file:"))).collect() == [0, 1, 2]
