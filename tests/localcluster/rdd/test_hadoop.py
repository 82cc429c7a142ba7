"""Hadoop's formats: the methods are there, and say what to use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcluster.rdd.local_context import LocalContext

READERS = ["sequenceFile", "newAPIHadoopFile", "newAPIHadoopRDD", "hadoopFile", "hadoopRDD"]
WRITERS = [
    "saveAsHadoopDataset",
    "saveAsHadoopFile",
    "saveAsNewAPIHadoopDataset",
    "saveAsNewAPIHadoopFile",
    "saveAsSequenceFile",
]
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "sequenceFile": ("/a",),
    "newAPIHadoopFile": ("/a", "Format", "Key", "Value"),
    "newAPIHadoopRDD": ("Format", "Key", "Value"),
    "hadoopFile": ("/a", "Format", "Key", "Value"),
    "hadoopRDD": ("Format", "Key", "Value"),
    "saveAsHadoopDataset": ({},),
    "saveAsHadoopFile": ("/a", "Format"),
    "saveAsNewAPIHadoopDataset": ({},),
    "saveAsNewAPIHadoopFile": ("/a", "Format"),
    "saveAsSequenceFile": ("/a",),
}


@pytest.mark.parametrize("name", [*READERS, *WRITERS])
def test_each_says_what_to_use(name: str, sc: LocalContext) -> None:
    owner = sc if name in READERS else sc.parallelize([(1, 2)])
    with pytest.raises(NotImplementedError, match=rf"{name} is not implemented.*Use .*(pickleFile|saveAsPickleFile)"):
        getattr(owner, name)(*ARGUMENTS[name])


@pytest.mark.parametrize("name", READERS[1:])
def test_formats_of_text_have_two_ways_out(name: str, sc: LocalContext) -> None:
    ways = (
        r"spark\.read\.text\(path, lineSep=\.\.\.\)\.rdd, or textFile and the setting spark\.hadoop\.textinputformat\."
    )
    with pytest.raises(NotImplementedError, match=ways):
        getattr(sc, name)(*ARGUMENTS[name])
