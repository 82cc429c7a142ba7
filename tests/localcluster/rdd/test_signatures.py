"""Methods are called as PySpark's are: parameters, their order, kinds and defaults."""

from __future__ import annotations

import json

import pytest

from localcluster.rdd.rdd import RDD
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.rdd.stat_counter import StatCounter
from tests.localcluster.rdd.pyspark_signatures import RESULTS, signatures

RECORDED = json.loads(RESULTS.read_text())


@pytest.mark.parametrize("kind", [RDD, ResultIterable, StatCounter])
def test_parameters_are_pysparks(kind: type) -> None:
    ours = signatures(kind, constructor=kind is not RDD)
    # Which names are missing is the business of the list in the documents.
    theirs = {name: found for name, found in RECORDED[kind.__name__].items() if hasattr(kind, name)}
    assert {name: ours[name] for name in theirs} == theirs
