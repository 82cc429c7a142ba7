"""Odd calls of the RDD API, whose outcomes real PySpark 4.3 recorded into ``results.json``; `test_odd_cases` compares.

Covers values and errors that no documentation settles: empty inputs, unequal partitions, mixed types, NaN, what is
checked when. `pyspark_cases` has the placement of records. To record again, with a PySpark and a Java at hand, from the
project's root: ``PYTHONPATH=. PYTHONHASHSEED=0 python -m tests.localcluster.rdd.odd.record``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.errors import NotAPairError
from tests.localcluster.rdd.odd.action_cases import ACTIONS
from tests.localcluster.rdd.odd.argument_cases import DERIVED, NUMBERS
from tests.localcluster.rdd.odd.helpers import described, outcome
from tests.localcluster.rdd.odd.narrow_cases import NARROW, STOPS
from tests.localcluster.rdd.odd.pair_cases import BY_KEY, JOINS
from tests.localcluster.rdd.odd.placing_cases import PLACING, SAMPLES, SETS, SORTS

RESULTS = Path(__file__).with_name("results.json")
GROUPS = [NARROW, STOPS, ACTIONS, BY_KEY, JOINS, SETS, PLACING, SORTS, SAMPLES, NUMBERS, DERIVED]
RECORDED = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

BY_HASHES_OF_STRINGS = "partitionBy of strings"  # recorded on Python 3.11, which hashes strings otherwise than 3.10

# What is another way here, on purpose, and why.
DIFFERENT = {
    "partitionBy by a float": "a TypeError, not struct.error",
    "partitionBy by a whole float": "a TypeError, not struct.error",
    "partitionBy of triples": "nothing unpacks the records, which stay as they are",
    "sortByKey of triples": "nothing unpacks the records, which stay as they are",
    "union of a list": "an AttributeError, but also a TypeError, which says what it wants",
    "not a function": "a TypeError at once, which names method and parameter",
    "sample with a float as seed": "a TypeError at once, which names method and parameter",
    "sortByKey to 2.0": "the TypeError names method and parameter",
    "add a list": "the TypeError says what it wants",
    "zip of other lengths": "found in the task, where Spark's JVM would find it, and not by the reader of a batch",
    "zip of filtered": "found in the task, where Spark's JVM would find it, and not by the reader of a batch",
    "repartition of repartitioned": "records are dealt out in new batches of ten, not in those of the first time",
    "parallelize -1": "a ValueError at once, not when the partitions are first needed",
    "take 1.0": "a ValueError from the task, not a TypeError when its result is cut",
    "histogram of uneven decimals": "nothing is multiplied by a float, which decimals refuse",
    "histogram of fractions": "nothing is multiplied by a float, so the bounds stay fractions",
    "cartesian of mapped": "by records, as Scala's, not by products of two batches",
    "partitioners": "unions with nothing, and those made by the context, stay placed",
}


def difference(name: str, case: Callable[[Any], Any], sc: Any) -> str | None:
    """How the outcome of a case on ``sc`` differs from PySpark's, if it does: classes of errors may be subclasses."""
    if name in DIFFERENT or (name == BY_HASHES_OF_STRINGS and sys.version_info < (3, 11)):
        return None
    kind, result = outcome(case, sc)
    if kind == "error":
        raised = getattr(result, "cause", None) or result
        text = str(raised)
        if isinstance(raised, NotAPairError):
            text = text.partition(": a record is no pair of key and value, but ")[0]  # what follows is ours
        if any([kind, [base.__name__, text]] == RECORDED[name] for base in type(raised).__mro__):
            return None
        result = repr(raised)
    return None if [kind, result] == RECORDED[name] else f"{name}: {RECORDED[name]} in PySpark, here {kind} {result}"


def record() -> None:
    from pyspark import SparkContext

    with SparkContext("local[2]", "record") as sc:
        sc.setLogLevel("OFF")
        results = {}
        for name, case in (item for group in GROUPS for item in group.items()):
            kind, result = outcome(case, sc)
            results[name] = [kind, result if kind == "value" else described(result)]
    lines = (f"{json.dumps(name)}: {json.dumps(result)}" for name, result in results.items())
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record()
