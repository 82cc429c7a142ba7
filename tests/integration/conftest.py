"""A context for the tests of a module: starting one per test would be most of their time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from localcluster import SparkConf, SparkContext
from localcluster.driver.known_executor import State


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


def wait_for_executors(context: SparkContext, wanted: int) -> None:
    """Executors start while the context is already usable; their pipes would look like leaks of the first test."""
    deadline = time.monotonic() + 30
    while len(registered(context)) < wanted:
        assert time.monotonic() < deadline, "the executors did not start"
        time.sleep(0.01)  # a poll of what other processes do


def registered(context: SparkContext) -> list[str]:
    return [executor.executor_id for executor in context._cluster.pool if executor.state is State.REGISTERED]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)  # a poll of what other processes do
