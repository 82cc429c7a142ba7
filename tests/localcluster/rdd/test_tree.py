"""Trees give what the flat aggregations give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, make, partitions


@jobs
@given(partitions(st.integers(-9, 9), most=20), st.integers(1, 4))
def test_trees_of_any_depth_give_the_flat_result(parts: list[Any], depth: int) -> None:
    rdd, records = make(parts), flat(parts)
    assert rdd.treeAggregate(0, lambda a, b: a + b, lambda a, b: a + b, depth) == sum(records)
    if records:
        assert rdd.treeReduce(max, depth) == max(records)
    else:
        with pytest.raises(ValueError, match="Cannot reduce empty RDD"):
            rdd.treeReduce(max, depth)


def test_the_driver_gets_few_results(sc: LocalContext) -> None:
    assert sc.range(100, numSlices=64).treeAggregate(0, lambda a, b: a + b, lambda a, b: a + b, 3) == 4950
    assert [len(job) for job in sc.jobs] == [4]


def test_no_partitions_give_the_zero_value(sc: LocalContext) -> None:
    assert sc.emptyRDD().treeAggregate(7, max, max) == 7
    with pytest.raises(ValueError, match="Cannot reduce empty RDD"):
        sc.emptyRDD().treeReduce(max)


def test_depths_below_one_are_refused(sc: LocalContext) -> None:
    for action in (lambda rdd: rdd.treeReduce(max, 0), lambda rdd: rdd.treeAggregate(0, max, max, 0)):
        with pytest.raises(ValueError, match="Depth cannot be smaller than 1 but got 0"):
            action(sc.parallelize([1]))
