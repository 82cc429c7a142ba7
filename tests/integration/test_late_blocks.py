"""A partition that is computed while its RDD is unpersisted is not kept for ever."""

from __future__ import annotations

import time
from pathlib import Path

from localcluster import SparkContext
from tests.support import DEADLINE, InThread, wait_until


def test_a_block_that_is_put_after_its_rdd_was_unpersisted_goes_away(sc: SparkContext, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"

    def slow(number: int) -> int:
        begun.touch()
        deadline = time.monotonic() + DEADLINE
        while not go_on.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return number

    before = sc.statistics().blocks.rdd_blocks
    rdd = sc.parallelize([7], 1).map(slow).cache()
    job = InThread(rdd.collect)
    wait_until(begun.exists)
    rdd.unpersist(blocking=True)
    go_on.touch()
    assert job.outcome() == [7]
    wait_until(lambda: sc.statistics().blocks.rdd_blocks == before, "a block is left")
    assert rdd.cache().collect() == [7]
    wait_until(lambda: sc.statistics().blocks.rdd_blocks == before + 1, "the RDD is persisted again")
    rdd.unpersist(blocking=True)
