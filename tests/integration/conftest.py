"""A context for the tests of a module: starting one per test would be most of their time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localcluster import SparkConf, SparkContext
from tests.support import wait_for_executors


def two_executors(shared_memory: str) -> SparkContext:
    conf = SparkConf().set("spark.executor.instances", "2").set("localcluster.sharedMemory", shared_memory)
    return SparkContext(conf=conf)


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    with two_executors("256m") as context:
        wait_for_executors(context, 2)
        # Once mapped, a segment stays mapped: have every process map the others' before the first test looks.
        context.parallelize([b"x" * 100_000] * 8, 8).map(lambda data: data * 2).collect()
        yield context
