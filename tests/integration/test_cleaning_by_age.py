"""``spark.cleaner.ttl``: what no process uses for a while goes, though the program refers to it; nothing else goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel
from localcluster.errors import SparkException
from storage import metadata_cleaner
from tests.support import status_of, wait_until

TTL = 0.2  # seconds


@pytest.fixture(scope="module")
def ageing() -> Iterator[SparkContext]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata_cleaner, "_MIN_PERIOD", 0.05)
        conf = SparkConf().setMaster("local[2]").set("spark.cleaner.ttl", f"{TTL}s")
        with SparkContext(conf=conf) as context:
            yield context


def let_blocks_age(context: SparkContext) -> None:
    """Until a block that was just put has gone for its age."""
    cached = context.parallelize([0], 1).persist(StorageLevel.OFF_HEAP)
    assert cached.count() == 1
    wait_until(lambda: not status_of(context).stored_blocks(cached.id()))


def test_cached_blocks_go_and_are_computed_again(ageing: SparkContext) -> None:
    cached = ageing.parallelize(range(100), 2).map(lambda x: x + 1).persist(StorageLevel.OFF_HEAP)
    assert cached.sum() == 5050
    wait_until(lambda: not ageing._kept.stored_partitions(cached.id()))
    assert cached.sum() == 5050


def test_a_broadcast_goes_everywhere_and_says_why(ageing: SparkContext) -> None:
    broadcast = ageing.broadcast([1])
    job = ageing.parallelize([1], 1).map(lambda x: x + broadcast.value[0])
    assert job.collect() == [2]
    let_blocks_age(ageing)
    let_blocks_age(ageing)  # it may have been in use at the looks before
    with pytest.raises(SparkException, match=r"destroyed, or when no process had used it for spark\.cleaner\.ttl"):
        job.collect()


def test_data_of_the_program_code_of_stages_map_outputs_and_results_live_as_long_as_their_objects(
    ageing: SparkContext,
) -> None:
    data = ageing.parallelize(list(range(100_000)), 2)
    big = bytes(100_000)  # makes the code of the stage a block
    shuffled = data.map(lambda x: (x % 10, x + len(big))).reduceByKey(max)
    expected = shuffled.collect()
    results = data.mapPartitions(lambda _: [bytes(200_000)]).toLocalIterator(prefetchPartitions=True)
    assert len(next(results)) == 200_000
    for _ in range(2):
        let_blocks_age(ageing)
        assert data.sum() == sum(range(100_000))
        assert shuffled.collect() == expected
    assert [len(result) for result in results] == [200_000]


def test_the_blocks_of_a_local_checkpoint_are_all_there_is_and_stay(ageing: SparkContext) -> None:
    checkpointed = ageing.parallelize(range(100), 2).map(lambda x: x + 1)
    checkpointed.localCheckpoint()
    assert checkpointed.sum() == 5050
    let_blocks_age(ageing)
    let_blocks_age(ageing)
    assert checkpointed.sum() == 5050
