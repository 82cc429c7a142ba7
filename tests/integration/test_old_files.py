"""Pickle files and checkpoints that the first version wrote: modules have moved since, their records are still read."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, SparkJobInfo, StorageLevel, moved
from localcluster.base.call_site import CallSite
from localcluster.compat.loose_version import LooseVersion
from localcluster.compat.simple_tracebacks import walk_tb
from localcluster.compat.testing import ReusedPySparkTestCase
from localcluster.compat.util import VersionUtils
from localcluster.rdd.checkpoint_rdd import ReliableCheckpointRDD
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.rdd.stat_counter import StatCounter
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner
from localcluster.sql.row import Row
from localcluster.task.accumulators import INT_ACCUMULATOR_PARAM
from localcluster.task.resource_information import ResourceInformation

FILES = Path(__file__).parent / "files_of_0_1"
VALUES: list[Any] = [
    Row(name="Ada", age=36),
    StorageLevel.OFF_HEAP,
    Partitioner(3, portable_hash),
    StatCounter([1, 2, 3]),
    ResourceInformation("gpu", ["0", "1"]),
    SparkJobInfo(1, [2], "SUCCEEDED"),
    INT_ACCUMULATOR_PARAM,
    LooseVersion("1.2"),
    SparkConf(False).set("a", "b"),
    VersionUtils,
]


def described(values: list[Any]) -> set[object]:
    """Most have no equality; what tells them apart is what they are pickled as."""
    return {value if isinstance(value, type) else repr(value.__reduce_ex__(2)) for value in values}


def test_pickle_file(sc: SparkContext) -> None:
    assert described(sc.pickleFile(str(FILES / "values")).collect()) == described(VALUES)


def test_pickle_file_of_groups(sc: SparkContext) -> None:
    groups = dict(sc.pickleFile(str(FILES / "grouped")).collect())
    assert {key: sorted(group) for key, group in groups.items()} == {1: [2, 3], 2: [4]}
    assert all(type(group) is ResultIterable for group in groups.values())


def test_checkpoint(sc: SparkContext) -> None:
    pairs = ReliableCheckpointRDD[Any](sc, str(FILES / "checkpoint")).collect()
    assert described([value for _, value in pairs]) == described(VALUES)


@pytest.mark.parametrize("old", sorted(moved.MOVED))
def test_a_moved_module_is_the_same_module(old: str) -> None:
    assert importlib.import_module(old) is importlib.import_module(moved.MOVED[old])


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ("localcluster.rdd.partitioner", Partitioner),
        ("localcluster.rdd.call_site", CallSite),
        ("localcluster.simple_tracebacks", walk_tb),
        ("localcluster.testing", ReusedPySparkTestCase),
    ],
)
def test_what_a_moved_module_had_by_pickle(old: str, now: Any) -> None:
    assert pickle.loads(f"c{old}\n{now.__name__}\n.".encode()) is now
