"""``spark.cleaner.ttl``: what is old goes, although the program still refers to it, and is computed again."""

from __future__ import annotations

from localcluster import SparkConf, SparkContext, StorageLevel
from tests.integration.test_jobs import eventually


def test_cached_blocks_go_when_they_are_old_and_are_computed_again() -> None:
    conf = SparkConf().setMaster("local[2]").set("spark.cleaner.ttl", "1s")
    with SparkContext(conf=conf) as context:
        cached = context.parallelize(range(100), 2).map(lambda x: x + 1).persist(StorageLevel.OFF_HEAP)
        assert cached.sum() == 5050
        status = context._cluster.master.endpoint.statistics
        assert status().blocks == 2
        eventually(lambda: status().blocks == 0)
        assert cached.sum() == 5050
