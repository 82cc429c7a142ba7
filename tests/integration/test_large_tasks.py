"""Tasks whose description is large: a partition that is put together of many carries what all of them carry."""

from __future__ import annotations

import random
from zlib import crc32

import pytest

from localcluster import SparkContext
from localcluster.errors import TaskError
from tests.integration.conftest import two_executors
from tests.support import wait_for_executors


def records(count: int) -> list[bytes]:
    return [random.Random(number).randbytes(1000) for number in range(count)]


def test_a_task_that_is_too_large_for_a_message_fails_its_job_and_no_other() -> None:
    """In a context of its own, before the module's starts: the limit is lowered."""
    with two_executors("64m") as context:
        wait_for_executors(context, 2)
        for executor in context._cluster.pool:
            assert executor.orders is not None
            executor.orders._channel._max_frame = 100_000
        data = context.parallelize(records(300), 30)
        assert data.count() == 300
        with pytest.raises(TaskError, match=r"Serialized task \d+:0 is too large to be sent: .* bytes do not fit"):
            data.coalesce(1).count()
        assert data.coalesce(5).count() == 300
        context.setLocalProperty("large", "x" * 200_000)
        with pytest.raises(TaskError, match="local properties"):
            data.count()
        context.setLocalProperty("large", None)
        assert data.count() == 300


def test_a_coalesced_partition_may_carry_the_data_of_more_than_a_thousand(sc: SparkContext) -> None:
    data = records(14 * 1300)
    assert sc.parallelize(data, 1300).coalesce(1).map(crc32).sum() == sum(map(crc32, data))
