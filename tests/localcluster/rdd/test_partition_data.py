"""Records of a partition on their way to a task, inline or as a block."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.rdd.partition_data import PartitionData
from protocol.errors import BlockNotFoundError, CorruptBlockError
from storage import serializer
from storage.block_id import BroadcastBlockId
from storage.local_transport import LocalCluster
from tests.storage.clusters import ClusterMaker
from tests.storage.damage import damage_at, flip_middle

RECORDS = [1, "a", [2], None]
BLOCK = BroadcastBlockId(0, "data")


def context(blocks: Any) -> Any:
    return SimpleNamespace(env=SimpleNamespace(block_manager=blocks))


def serialized() -> bytes:
    return b"".join(bytes(chunk) for chunk in serializer.serialize(RECORDS))


def test_each_reading_makes_new_objects() -> None:
    data = pickle.loads(pickle.dumps(PartitionData(serialized())))
    first, second = list(data.read(context(None))), list(data.read(context(None)))
    assert first == second == RECORDS
    assert first[2] is not second[2]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    maker = ClusterMaker(tmp_path)
    yield maker("1")
    maker.close()


def test_a_large_partition_is_read_from_its_block(cluster: LocalCluster) -> None:
    cluster.driver.put_shared(BLOCK, [serialized()])
    data = pickle.loads(pickle.dumps(PartitionData(BLOCK)))
    assert list(data.read(context(cluster.managers["1"]))) == RECORDS


def test_records_that_are_damaged_or_gone_are_named_and_the_way_out(cluster: LocalCluster) -> None:
    damage_at(cluster.driver.put_shared(BLOCK, [serialized()]), flip_middle)
    for error, why in [
        (CorruptBlockError, "broadcast_0_data is damaged, .*: the batch at byte 0 was changed"),
        (BlockNotFoundError, "broadcast_0_data is not there any more"),
    ]:
        with pytest.raises(error, match=rf"records of a partition of parallelize are lost: block {why}\. .* again"):
            PartitionData(BLOCK).read(context(cluster.managers["1"]))
        cluster.driver.remove_block(BLOCK)
