"""Arguments that can be seen to be wrong are refused at the call, before any job, with method and parameter named."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from operator import add
from typing import Any

import numpy as np
import pytest

from localcluster.rdd.barrier_rdd import RDDBarrier
from protocol.errors import NotAnRDDError, PySparkTypeError
from tests.localcluster.rdd.local_context import LocalContext

Call = Callable[[Any, Any], Any]  # of an RDD of pairs, and the argument

FUNCTIONS: dict[str, Call] = {
    "f of map": lambda rdd, f: rdd.map(f),
    "f of flatMap": lambda rdd, f: rdd.flatMap(f),
    "f of filter": lambda rdd, f: rdd.filter(f),
    "f of mapPartitions": lambda rdd, f: rdd.mapPartitions(f),
    "f of mapPartitionsWithIndex": lambda rdd, f: rdd.mapPartitionsWithIndex(f),
    "f of keyBy": lambda rdd, f: rdd.keyBy(f),
    "f of groupBy": lambda rdd, f: rdd.groupBy(f),
    "f of mapValues": lambda rdd, f: rdd.mapValues(f),
    "f of flatMapValues": lambda rdd, f: rdd.flatMapValues(f),
    "keyfunc of sortBy": lambda rdd, f: rdd.sortBy(f),
    "keyfunc of sortByKey": lambda rdd, f: rdd.sortByKey(keyfunc=f),
    "partitionFunc of partitionBy": lambda rdd, f: rdd.partitionBy(2, f),
    "partitionFunc of groupByKey": lambda rdd, f: rdd.groupByKey(2, f),
    "partitionFunc of reduceByKey": lambda rdd, f: rdd.reduceByKey(add, 2, f),
    "partitionFunc of repartitionAndSortWithinPartitions": lambda rdd, f: rdd.repartitionAndSortWithinPartitions(2, f),
    "keyfunc of repartitionAndSortWithinPartitions": lambda rdd, f: rdd.repartitionAndSortWithinPartitions(keyfunc=f),
    "createCombiner of combineByKey": lambda rdd, f: rdd.combineByKey(f, add, add),
    "seqFunc of aggregateByKey": lambda rdd, f: rdd.aggregateByKey(0, f, add),
    "func of foldByKey": lambda rdd, f: rdd.foldByKey(0, f),
    "f of foreach": lambda rdd, f: rdd.foreach(f),
    "f of foreachPartition": lambda rdd, f: rdd.foreachPartition(f),
    "op of fold": lambda rdd, f: rdd.fold(0, f),
    "seqOp of aggregate": lambda rdd, f: rdd.aggregate(0, f, add),
    "combOp of aggregate": lambda rdd, f: rdd.aggregate(0, add, f),
    "seqOp of treeAggregate": lambda rdd, f: rdd.treeAggregate(0, f, add),
    "combOp of treeAggregate": lambda rdd, f: rdd.treeAggregate(0, add, f),
    "f of mapPartitions of a barrier": lambda rdd, f: RDDBarrier(rdd).mapPartitions(f),
    "f of mapPartitionsWithIndex of a barrier": lambda rdd, f: RDDBarrier(rdd).mapPartitionsWithIndex(f),
}
OPTIONAL_FUNCTIONS: dict[str, Call] = {
    "key of max": lambda rdd, f: rdd.max(f),
    "key of min": lambda rdd, f: rdd.min(f),
    "key of top": lambda rdd, f: rdd.top(1, f),
    "key of takeOrdered": lambda rdd, f: rdd.takeOrdered(1, f),
    # As in PySpark, nothing calls these where there is nothing to merge.
    "func of reduceByKey": lambda rdd, f: rdd.reduceByKey(f),
    "func of reduceByKeyLocally": lambda rdd, f: rdd.reduceByKeyLocally(f),
    "mergeValue of combineByKey": lambda rdd, f: rdd.combineByKey(list, f, add),
    "mergeCombiners of combineByKey": lambda rdd, f: rdd.combineByKey(list, add, f),
    "combFunc of aggregateByKey": lambda rdd, f: rdd.aggregateByKey(0, add, f),
    "f of reduce": lambda rdd, f: rdd.filter(lambda pair: pair[0] == 1).reduce(f),
    "f of treeReduce": lambda rdd, f: rdd.filter(lambda pair: pair[0] == 1).treeReduce(f),
}
TWO_SIDED = (
    *("union", "intersection", "subtract", "subtractByKey", "cartesian", "zip"),
    *("join", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "cogroup", "groupWith"),
)
RDDS: dict[str, Call] = {
    **{
        f"other of {name}": lambda rdd, other, name=name: getattr(rdd, name)(other)  # type: ignore[misc]
        for name in TWO_SIDED
    },
    "rdds of union": lambda rdd, other: rdd.ctx.union([rdd, other]),
}
PARTITIONS: dict[str, Call] = {
    "coalesce": lambda rdd, n: rdd.coalesce(n),
    "repartition": lambda rdd, n: rdd.repartition(n),
    "partitionBy": lambda rdd, n: rdd.partitionBy(n),
    "reduceByKey": lambda rdd, n: rdd.reduceByKey(add, n),
    "groupByKey": lambda rdd, n: rdd.groupByKey(n),
    "groupBy": lambda rdd, n: rdd.groupBy(str, n),
    "combineByKey": lambda rdd, n: rdd.combineByKey(str, add, add, n),
    "aggregateByKey": lambda rdd, n: rdd.aggregateByKey(0, add, add, n),
    "foldByKey": lambda rdd, n: rdd.foldByKey(0, add, n),
    "sortByKey": lambda rdd, n: rdd.sortByKey(True, n),
    "sortBy": lambda rdd, n: rdd.sortBy(str, True, n),
    "repartitionAndSortWithinPartitions": lambda rdd, n: rdd.repartitionAndSortWithinPartitions(n),
    "distinct": lambda rdd, n: rdd.distinct(n),
    "subtract": lambda rdd, n: rdd.subtract(rdd, n),
    "subtractByKey": lambda rdd, n: rdd.subtractByKey(rdd, n),
    "join": lambda rdd, n: rdd.join(rdd, n),
    "cogroup": lambda rdd, n: rdd.cogroup(rdd, n),
}
OTHERS: dict[str, Call] = {
    "minPartitions of textFile": lambda rdd, n: rdd.ctx.textFile("/x", n),
    "minPartitions of wholeTextFiles": lambda rdd, n: rdd.ctx.wholeTextFiles("/x", n),
    "minPartitions of binaryFiles": lambda rdd, n: rdd.ctx.binaryFiles("/x", n),
    "minPartitions of pickleFile": lambda rdd, n: rdd.ctx.pickleFile("/x", n),
    "recordLength of binaryRecords": lambda rdd, n: rdd.ctx.binaryRecords("/x", n),
    "seed of sample": lambda rdd, n: rdd.sample(False, 0.5, n),
    "seed of randomSplit": lambda rdd, n: rdd.randomSplit([1, 2], n),
    "seed of sampleByKey": lambda rdd, n: rdd.sampleByKey(False, {}, n),
    "timeout of countApprox": lambda rdd, n: rdd.countApprox(n),
    "confidence of sumApprox": lambda rdd, n: rdd.sumApprox(10, n),
    "confidence of meanApprox": lambda rdd, n: rdd.meanApprox(10, n),
    "batchSize of saveAsPickleFile": lambda rdd, n: rdd.saveAsPickleFile("/nowhere/x", n),
    "compressionCodecClass of saveAsTextFile": lambda rdd, n: rdd.saveAsTextFile("/nowhere/x", [n]),
    "command of pipe": lambda rdd, n: rdd.pipe([n]),
    "env of pipe": lambda rdd, n: rdd.pipe("cat", n),
    "name of setName": lambda rdd, n: rdd.setName([n]),
    "profile of withResources": lambda rdd, n: rdd.withResources(n),
}


def pairs() -> Any:
    rdd = LocalContext().parallelize([(1, 2), (2, 3)], 2)
    rdd.ctx.jobs.clear()
    return rdd


@pytest.mark.parametrize(("call", "wrong"), [(call, wrong) for call in FUNCTIONS for wrong in (None, 5)])
def test_what_is_no_function_is_refused(call: str, wrong: Any) -> None:
    rdd = pairs()
    with pytest.raises(PySparkTypeError) as caught:
        FUNCTIONS[call](rdd, wrong)
    name = call.removesuffix(" of a barrier")
    assert str(caught.value) == f"{name} must be a function, not {type(wrong).__name__}"
    assert rdd.ctx.jobs == []


@pytest.mark.parametrize("call", OPTIONAL_FUNCTIONS)
def test_none_is_as_good_as_a_function_where_none_is_called(call: str) -> None:
    with pytest.raises(PySparkTypeError, match=f"{call} must be a function or None, not str"):
        OPTIONAL_FUNCTIONS[call](pairs(), "text")
    OPTIONAL_FUNCTIONS[call](pairs(), None)


@pytest.mark.parametrize(("call", "wrong"), [(call, wrong) for call in RDDS for wrong in (None, [2], 5)])
def test_what_is_no_rdd_is_refused(call: str, wrong: Any) -> None:
    with pytest.raises(NotAnRDDError, match=f"^{call} must be an RDD, not {type(wrong).__name__}$") as caught:
        RDDS[call](pairs(), wrong)
    assert isinstance(caught.value, (TypeError, AttributeError))  # the latter is PySpark's


@pytest.mark.parametrize("call", PARTITIONS)
def test_a_number_of_partitions_is_a_whole_number(call: str) -> None:
    for wrong in ("2", [2], 1.5, True):
        with pytest.raises(TypeError, match=f"numPartitions of {call} must be|'>' not supported"):
            PARTITIONS[call](pairs(), wrong)
    for right in (np.int64(3), 3):
        assert PARTITIONS[call](pairs(), right).getNumPartitions() == (2 if call == "coalesce" else 3)


@pytest.mark.parametrize("call", OTHERS)
def test_other_arguments_of_a_wrong_type_are_refused(call: str) -> None:
    rdd = pairs()
    with pytest.raises(PySparkTypeError, match=f"^{call} must be "):
        OTHERS[call](rdd, "2")
    assert rdd.ctx.jobs == []


def test_numbers_of_all_kinds_will_do() -> None:
    rdd = pairs().values()
    assert [rdd.sample(False, 1.0, seed).count() for seed in (True, np.int64(1), 2**70)] == [2] * 3
    assert rdd.sumApprox(np.float64(1000), Fraction(1, 2)) == 5.0
    assert rdd.sample(False, np.float32(1.0), 3).count() == 2
