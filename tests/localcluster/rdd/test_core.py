"""Persisting, naming, describing and partition functions."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given

from localcluster.rdd.cartesian_rdd import PairPartition
from localcluster.rdd.partition import Partition
from localcluster.rdd.partitioner import Partitioner, hashes_like_executors, portable_hash
from localcluster.rdd.rdd import PipelinedRDD
from localcluster.storage_level import StorageLevel
from protocol.errors import PySparkAttributeError, SparkException
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import jobs, keys


def test_persisted_partitions_are_computed_once(sc: LocalContext) -> None:
    rdd = sc.parallelize([1, 2], 2).map(abs).cache()
    assert (rdd.is_cached, rdd.getStorageLevel(), sc.persisted) == (
        True,
        StorageLevel.MEMORY_ONLY,
        {1: StorageLevel.MEMORY_ONLY},
    )
    assert sc.blocks.computed == []
    assert rdd.map(str).collect() == ["1", "2"]
    assert rdd.count() == 2
    assert sc.blocks.computed == ["rdd_1_0", "rdd_1_1"]


def test_unpersisted_partitions_are_computed_again(sc: LocalContext) -> None:
    rdd = sc.parallelize([1], 1).map(abs).persist(StorageLevel.DISK_ONLY)
    child = rdd.map(abs)
    child.count()
    assert rdd.unpersist() is rdd
    assert (rdd.is_cached, rdd.getStorageLevel(), sc.blocks.blocks, sc.persisted) == (False, StorageLevel.NONE, {}, {})
    assert child.collect() == [1]
    rdd.persist(StorageLevel.MEMORY_AND_DISK)
    assert rdd.getStorageLevel() == StorageLevel.MEMORY_AND_DISK


def test_a_level_is_not_changed_underway(sc: LocalContext) -> None:
    rdd = sc.parallelize([1]).cache()
    assert rdd.cache() is rdd
    with pytest.raises(SparkException, match="Cannot change storage level"):
        rdd.persist(StorageLevel.DISK_ONLY)
    assert rdd.getStorageLevel() == StorageLevel.MEMORY_ONLY


def test_only_a_level_is_a_level(sc: LocalContext) -> None:
    rdd = sc.parallelize([1])
    with pytest.raises(TypeError, match="storageLevel must be of type"):
        rdd.persist("MEMORY_ONLY")  # type: ignore[arg-type]
    assert not rdd.is_cached


def test_persisting_late_serves_children_made_before(sc: LocalContext) -> None:
    rdd = sc.parallelize([1], 1).map(abs)
    child = rdd.map(abs)
    rdd.cache()
    child.count()
    assert sc.blocks.computed == [f"rdd_{rdd.id()}_0"]


def test_names_and_ids(sc: LocalContext) -> None:
    rdd = sc.parallelize([1])
    assert (rdd.id(), rdd.map(abs).id(), rdd.name()) == (0, 1, None)
    assert rdd.setName("mine").name() == "mine"
    assert rdd.context is sc
    here = __file__
    assert repr(rdd).startswith(f"mine ParallelCollectionRDD[0] at parallelize at {here}:")


def test_debug_strings_are_laid_out_as_sparks(sc: LocalContext) -> None:
    left = sc.parallelize([(1, 2)], 4).reduceByKey(max, 3)
    right = sc.parallelize([(1, 2)], 120)
    rdd = left.join(right).filter(bool).union(right).cache()
    lines = rdd.toDebugString().decode().splitlines()
    assert [line.split(" at ")[0] for line in lines] == [
        "(243) UnionRDD[9]",
        "  |   PythonRDD[8]",
        "  |   CoGroupedRDD[6]",
        "  +-(123) UnionRDD[5]",
        "      |   PythonRDD[3]",
        "      |   ShuffledRDD[1]",
        "      +-(4) ParallelCollectionRDD[0]",
        "      |   PythonRDD[4]",
        "      |   ParallelCollectionRDD[2]",
        "  |   ParallelCollectionRDD[2]",
    ]
    assert all(line.endswith("[Memory Serialized 1x Replicated]") for line in lines)
    assert right.toDebugString().endswith(b" []")


def test_debug_strings_have_pysparks_names(sc: LocalContext, tmp_path: Any) -> None:
    def lines(rdd: Any) -> list[str]:
        return [line.split(" at ")[0] for line in rdd.toDebugString().decode().splitlines()]

    assert lines(sc.range(4)) == ["(2) PythonRDD[1]", " |  ParallelCollectionRDD[0]"]
    assert lines(sc.emptyRDD()) == ["(0) EmptyRDD[2]"]
    mapped = sc.parallelize([1, 2], 2).map(abs).setName("mine")
    assert lines(mapped.map(abs).filter(bool)) == ["(2) PythonRDD[6]", " |  ParallelCollectionRDD[3]"]
    assert lines(mapped.zip(mapped))[:2] == ["(2) ZippedPartitionsRDD2[7]", " |  mine PythonRDD[4]"]
    (tmp_path / "file").write_text("a")
    assert lines(sc.textFile(f"{tmp_path}/file", 1)) == [f"(1) {tmp_path}/file MapPartitionsRDD[8]"]
    assert isinstance(mapped, PipelinedRDD)
    assert mapped._is_pipelinable()
    mapped.cache()
    assert not mapped._is_pipelinable()
    assert lines(mapped.filter(bool))[:2] == ["(2) PythonRDD[9]", " |  mine PythonRDD[4]"]


def test_debug_strings_say_what_is_stored(sc: LocalContext, monkeypatch: Any) -> None:
    sizes = {0: (1023, 0), 1: (1025, 5 << 40)}
    monkeypatch.setattr(sc, "stored_partitions", lambda rdd_id: sizes)
    rdd = sc.parallelize([1, 2], 2).map(abs).cache()
    stored = "CachedPartitions: 2; MemorySize: 2.0 KiB; DiskSize: 5.0 TiB"
    assert rdd.toDebugString().decode().splitlines()[1] == f" |       {stored}"
    assert rdd.keyBy(abs).toDebugString().decode().splitlines()[2] == f" |      {stored}"
    assert rdd.keyBy(abs).groupByKey().toDebugString().decode().splitlines()[4] == f"    |      {stored}"


def test_there_is_no_jvm_behind_an_rdd(sc: LocalContext) -> None:
    rdd = sc.parallelize([1])
    assert not hasattr(rdd, "_jrdd")
    with pytest.raises(PySparkAttributeError, match="JVM_ATTRIBUTE_NOT_SUPPORTED"):
        rdd._jrdd  # noqa: B018


@jobs
@given(keys)
def test_the_hash_is_that_of_equal_keys_and_of_pyspark(key: Any) -> None:
    assert portable_hash(key) == portable_hash(pickle.loads(pickle.dumps(key)))
    if key is not None and type(key) is not tuple:
        assert portable_hash(key) == hash(key)


def test_recorded_hashes() -> None:
    assert portable_hash(None) == 0
    assert portable_hash((None, 1)) & 0xFFFFFFFF == 219750521
    with pytest.raises(TypeError):
        portable_hash([1])  # type: ignore[arg-type]


def test_the_driver_knows_when_it_hashes_otherwise_than_executors() -> None:
    assert hashes_like_executors((None, (1, 2.5), True))
    program = (
        "from localcluster.rdd.partitioner import hashes_like_executors as like;"
        "print(like('a'), like((1, b'')), like(1), like(frozenset()))"
    )
    for seed, expected in (("0", "True True True True"), ("1", "False False True False")):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_lookup_is_right_in_a_driver_that_hashes_otherwise(sc: LocalContext, monkeypatch: Any) -> None:
    rdd = sc.parallelize([("a", 1), ("b", 2)]).partitionBy(4)
    assert rdd.count() == 2
    monkeypatch.setattr("localcluster.rdd.by_key.hashes_like_executors", lambda key: False)
    rdd.partitioner = Partitioner(4, lambda key: portable_hash(key) + 1)  # as such a driver would: wrong
    assert rdd.lookup("b") == [2]


def test_partitioners_are_equal_by_what_they_do() -> None:
    assert Partitioner(2, portable_hash) == Partitioner(2, portable_hash)
    assert Partitioner(2, portable_hash) != Partitioner(3, portable_hash)
    assert Partitioner(2, portable_hash) != Partitioner(2, len)
    assert Partitioner(2, portable_hash) != 2
    assert len({Partitioner(2, len), Partitioner(2, len)}) == 1
    assert Partitioner(3, len)("abcd") == 1


def test_partitions_pickle_with_their_slots() -> None:
    partition = PairPartition(3, Partition(1), Partition(2))
    copy = pickle.loads(pickle.dumps(partition))
    assert isinstance(copy, PairPartition)
    assert (copy.index, copy.left.index, copy.right.index) == (3, 1, 2)
    assert repr(copy) == "PairPartition(index=3, left=Partition(index=1), right=Partition(index=2))"


def test_collections_are_taken_as_they_are_when_parallelised(sc: LocalContext) -> None:
    records = [1, 2]
    rdd = sc.parallelize(records)
    records.append(3)
    assert rdd.collect() == [1, 2]


@pytest.mark.parametrize(
    "collection", ["abc", {"a": 1, "b": 2, "c": 3}, iter("abc"), ("a", "b", "c"), frozenset("abc")]
)
def test_anything_iterable_is_a_collection(sc: LocalContext, collection: Any) -> None:
    assert sorted(sc.parallelize(collection, 2).collect()) == ["a", "b", "c"]


def test_impossible_numbers_of_slices(sc: LocalContext) -> None:
    for records in ([1], range(3)):
        with pytest.raises(ZeroDivisionError):
            sc.parallelize(records, 0)
        with pytest.raises(ValueError, match="Positive number of partitions required"):
            sc.parallelize(records, -1)


def test_ranges_are_not_spelled_out(sc: LocalContext) -> None:
    assert sc.range(10**15, numSlices=3).take(2) == [0, 1]
    assert sc.range(3).getNumPartitions() == sc.defaultParallelism
