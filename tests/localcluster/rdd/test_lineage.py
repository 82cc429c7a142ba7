"""What travels to executors: the stage's RDDs and functions, and nothing of the driver."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from localcluster.rdd.checkpoint_rdd import LocalCheckpointRDD, ReliableCheckpointRDD
from localcluster.rdd.cogrouped_rdd import CoGroupedRDD
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.lineage import dump_lineage, load_lineage
from localcluster.rdd.reading import Tolerance
from localcluster.shuffle.partitioner import Partitioner
from localcluster.sql.text_rows_rdd import TextRowsRDD
from protocol.errors import RDDError, SerializationError
from tests.localcluster.rdd.local_context import LocalContext


def test_a_function_that_uses_an_rdd_is_refused(sc: LocalContext) -> None:
    other = sc.parallelize([1])
    for rdd in (
        other.map(lambda x: other.count()),  # its own parent
        sc.parallelize([1]).map(lambda x: other.count()),
        sc.parallelize([(1, 2)]).reduceByKey(lambda a, b: other.count()),
        sc.parallelize([(1, 2)]).partitionBy(2, lambda key: other.count()),
    ):
        with pytest.raises(SerializationError, match=r"RDD_TRANSFORM_ONLY_VALID_ON_DRIVER.*SPARK-5063") as caught:
            rdd.collect()
        assert isinstance(caught.value.__cause__, RDDError)
    with pytest.raises(pickle.PicklingError, match=r"^Could not serialize object: .*SPARK-5063"):
        sc.parallelize([1]).foreach(lambda x: other.count())
    assert other.map(abs).collect() == [1]


def test_rdds_are_no_values(sc: LocalContext) -> None:
    rdd = sc.parallelize([1])
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(RDDError):
            dumps(rdd)
    with pytest.raises(RDDError):
        sc.parallelize([rdd])


def test_a_function_that_cannot_be_pickled_is_named(sc: LocalContext) -> None:
    lock = threading.Lock()

    def uses_a_lock(x: int) -> bool:
        return lock.locked()

    rdd = sc.parallelize([1]).map(uses_a_lock)
    with pytest.raises(
        SerializationError,
        match=r"Could not serialize object: TypeError.*lock.*uses_a_lock.*PythonRDD\[1\] at .*py:\d+",
    ):
        rdd.map(abs).collect()
    with pytest.raises(SerializationError, match=r"lock.*uses_a_lock"):
        sc.parallelize([1]).foreach(uses_a_lock)


def test_what_functions_share_stays_shared(sc: LocalContext) -> None:
    shared: list[int] = []

    def note(x: int) -> int:
        shared.append(x)
        return x

    rdd = sc.parallelize([1, 2], 1).map(note).map(lambda x: (x, list(shared)))
    assert rdd.collect() == [(1, [1]), (2, [1, 2])]
    assert rdd.collect() == [(1, [1]), (2, [1, 2])], "each task has functions of its own"
    assert shared == []


def test_a_lineage_ends_at_shuffles(sc: LocalContext) -> None:
    behind = sc.parallelize([(1, 2)]).map(lambda x: x)
    rdd = behind.reduceByKey(max).mapValues(str)
    loaded, action = load_lineage(dump_lineage(rdd, "action"))
    assert action == "action"
    assert loaded.id() == rdd.id()
    shuffle = loaded.dependencies[0].rdd.dependencies[0]
    assert isinstance(shuffle, ShuffleDependency)
    assert not hasattr(shuffle, "rdd")


COMMON = {"_id", "dependencies", "_storage_level", "_checkpoint_rdd"}


@pytest.mark.parametrize(
    ("make", "own"),
    [
        (lambda sc: sc.parallelize([1]), set()),
        (lambda sc: sc.parallelize([1]).map(abs), {"func"}),
        (lambda sc: sc.parallelize([1]).barrier().mapPartitions(list), {"func"}),
        (lambda sc: sc.parallelize([1]).union(sc.parallelize([1])), set()),
        (lambda sc: sc.parallelize([1]).cartesian(sc.parallelize([1])), set()),
        (lambda sc: sc.parallelize([1]).zip(sc.parallelize([1])), set()),
        (lambda sc: sc.parallelize([1]).coalesce(1), set()),
        (lambda sc: sc.parallelize([(1, 1)]).partitionBy(2), set()),
        (lambda sc: CoGroupedRDD([sc.parallelize([(1, 1)])], Partitioner(2, hash)), {"_map_tasks"}),
        (lambda sc: sc.textFile("/"), {"settings", "use_unicode"}),
        (lambda sc: sc.wholeTextFiles("/"), {"settings", "use_unicode"}),
        (lambda sc: sc.binaryFiles("/"), {"settings"}),
        (lambda sc: sc.binaryRecords("/", 3), {"settings", "length"}),
        (lambda sc: sc.pickleFile("/"), {"settings"}),
        (lambda sc: ReliableCheckpointRDD(sc, "/"), {"directory"}),
        (lambda sc: LocalCheckpointRDD(sc.parallelize([1])), {"original_id"}),
        (lambda sc: TextRowsRDD(sc, [], True, None, Tolerance()), {"whole_text", "delimiter", "tolerance"}),
    ],
)
def test_what_travels_of_each_kind_is_named(sc: LocalContext, make: Callable[[Any], Any], own: set[str]) -> None:
    rdd = make(sc)
    rdd.added_later = threading.Lock()  # which cannot be pickled: nothing travels by accident
    loaded, _ = load_lineage(dump_lineage(rdd, None))
    assert type(loaded) is type(rdd)
    assert set(vars(loaded)) == COMMON | own


def test_what_is_sent_of_a_simple_lineage_is_small(sc: LocalContext) -> None:
    rdd = sc.parallelize(range(1000), 100).map(abs).filter(bool).map(str)
    assert len(dump_lineage(rdd, None)) < 1000
    joined = rdd.keyBy(len).join(rdd.keyBy(len), 50).mapValues(str).union(rdd).coalesce(3)
    assert len(dump_lineage(joined, None)) < 2500


def test_partitions_are_small(sc: LocalContext) -> None:
    assert all(len(pickle.dumps(p)) < 250 for p in sc.range(10**12, numSlices=4).map(abs)._partitions())
    assert all(len(pickle.dumps(p)) < 100 for p in sc.parallelize([(1, 1)]).groupByKey(4)._partitions())


def test_a_diamond_is_pickled_once(sc: LocalContext) -> None:
    rdd = sc.parallelize([1], 1).map(lambda x: x)
    for _ in range(10):
        rdd = rdd.union(rdd).coalesce(1)
    assert len(dump_lineage(rdd, None)) < 5000
    assert rdd.count() == 1024


def test_threads_do_not_open_the_gate_for_each_other(sc: LocalContext) -> None:
    rdd, refused = sc.parallelize([1]), []

    class Sneaky:
        def __reduce__(self) -> Any:
            def other_thread() -> None:
                try:
                    pickle.dumps(rdd)
                except RDDError as error:
                    refused.append(error)

            thread = threading.Thread(target=other_thread)
            thread.start()
            thread.join()
            return int, ()

    from localcluster.rdd.lineage import lineage_pickling

    with lineage_pickling():
        pickle.dumps([Sneaky()])
    assert len(refused) == 1
