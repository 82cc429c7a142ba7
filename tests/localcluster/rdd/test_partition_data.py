"""Records of a partition on their way to a task, inline or as a block."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

from localcluster.rdd.partition_data import PartitionData
from storage import serializer
from storage.block_id import BroadcastBlockId
from tests.storage.clusters import ClusterMaker

RECORDS = [1, "a", [2], None]


def context(blocks: Any) -> Any:
    return SimpleNamespace(env=SimpleNamespace(block_manager=blocks))


def serialized() -> bytes:
    return b"".join(bytes(chunk) for chunk in serializer.serialize(RECORDS))


def test_each_reading_makes_new_objects() -> None:
    data = pickle.loads(pickle.dumps(PartitionData(serialized())))
    first, second = list(data.read(context(None))), list(data.read(context(None)))
    assert first == second == RECORDS
    assert first[2] is not second[2]


def test_a_large_partition_is_read_from_its_block(tmp_path: Any) -> None:
    maker = ClusterMaker(tmp_path)
    cluster = maker("1")
    blocks, block_id = cluster.managers["1"], BroadcastBlockId(0)
    cluster.driver.put_shared(block_id, [serialized()])
    data = pickle.loads(pickle.dumps(PartitionData(block_id)))
    assert list(data.read(context(blocks))) == RECORDS
    maker.close()
