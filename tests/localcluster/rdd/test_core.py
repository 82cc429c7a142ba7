"""Persisting, naming, describing and partition functions."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from operator import methodcaller, neg
from typing import Any

import pytest

from localcluster.base.storage_level import StorageLevel
from localcluster.rdd.cartesian_rdd import PairPartition
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import PipelinedRDD
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner
from protocol.errors import PySparkAttributeError, SparkException
from tests.localcluster.rdd.local_context import LocalContext


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


@dataclass(frozen=True)
class Point:
    x: int


class PlacesOtherwiseInTasks:
    """A partition function that gives another place in the driver."""

    def __call__(self, key: Any) -> int:
        return 0

    def __reduce__(self) -> Any:
        return methodcaller, ("__len__",)


@pytest.mark.parametrize("key", [7, "b", (None, "b"), frozenset([None])])
def test_lookup_looks_at_the_partition_of_a_key(sc: LocalContext, key: Any) -> None:
    rdd = sc.parallelize([(key, 1), ("other", 2)]).partitionBy(4)
    sc.jobs.clear()
    assert rdd.lookup(key) == [1]
    assert sc.jobs == [[portable_hash(key) % 4]]


def test_lookup_looks_everywhere_for_an_object_whose_hash_may_be_another_one_here(sc: LocalContext) -> None:
    rdd = sc.parallelize([(Point(1), 1), (Point(2), 2)]).partitionBy(4)
    sc.jobs.clear()
    assert rdd.lookup(Point(2)) == [2]
    assert sc.jobs == [[0, 1, 2, 3]]


def test_lookup_asks_a_task_where_a_function_of_the_programs_places_a_key(sc: LocalContext) -> None:
    rdd = sc.parallelize([("a", 1), ("ccc", 2)]).partitionBy(4, PlacesOtherwiseInTasks())
    sc.jobs.clear()
    assert rdd.lookup("ccc") == [2]
    assert sc.jobs == [[0], [3]]


def test_lookup_in_sorted_pairs_needs_to_ask_only_if_a_function_orders_them(sc: LocalContext) -> None:
    pairs = sc.parallelize([(n, str(n)) for n in range(8)], 2)
    plain, by_function = pairs.sortByKey(numPartitions=2), pairs.sortByKey(numPartitions=2, keyfunc=neg)
    sc.jobs.clear()
    assert plain.lookup(0) == ["0"]
    assert sc.jobs == [[0]]
    assert by_function.lookup(0) == ["0"]
    assert sc.jobs == [[0], [0], [1]]


def test_a_key_that_cannot_be_placed_is_refused_by_lookup(sc: LocalContext) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        sc.parallelize([(1, 2)]).partitionBy(2).lookup([])
    with pytest.raises(TypeError, match="len"):
        sc.parallelize([("a", 2)]).partitionBy(2, len).lookup(5)


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
