"""Shared blocks of the runtime, and the end of a block manager."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from protocol import block_messages as m
from protocol.errors import BlockPutError, StaleLocationError
from protocol.locations import DRIVER, ShmLocation
from storage import os_layer
from storage.block_id import BroadcastBlockId, ShuffleDataBlockId
from storage.serializer import deserialize, serialize, unwrap, wrap
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, ClusterMaker, block, block_files, locations


def test_shared_blocks_are_read_by_location_whole_or_in_part(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    location = a.put_shared(ShuffleDataBlockId(0, 0, 0), [b"head", bytearray(b"-"), memoryview(b"tail")], False)
    assert isinstance(location, ShmLocation)
    for manager in (a, b):
        assert manager.read_location(location, ShuffleDataBlockId(0, 0, 0)).memoryview() == b"head-tail"
        part = ShmLocation(location.segment, location.offset + 5, 4)
        assert manager.read_location(part, ShuffleDataBlockId(0, 0, 0)).memoryview() == b"tail"
    a.remove_block(ShuffleDataBlockId(0, 0, 0), tell_master=False)
    assert a.get_local_bytes(ShuffleDataBlockId(0, 0, 0)) is None
    with pytest.raises(StaleLocationError):
        a.read_location(location, ShuffleDataBlockId(0, 0, 0))


def test_a_shared_block_is_written_once(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_shared(BroadcastBlockId(1), wrap(b"first"))
    with pytest.raises(BlockPutError):
        a.put_shared(BroadcastBlockId(1), [b"second"])
    data = a.get_bytes(BroadcastBlockId(1))
    assert data is not None
    assert unwrap(data.memoryview()) == b"first"
    assert a.statistics().extents == 1


def test_a_broadcast_is_read_everywhere_and_gone_when_removed(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    cluster.driver.put_shared(BroadcastBlockId(1), serialize([np.arange(10)]))
    data = a.get_bytes(BroadcastBlockId(1))
    assert data is not None
    (array,) = deserialize(data.memoryview())
    a.master.remove_broadcast(1)
    assert a.get_bytes(BroadcastBlockId(1)) is None
    assert array.tolist() == list(range(10))
    assert cluster.driver.statistics().limbo > 0
    del array, data
    a.flush_lease_releases()
    assert cluster.driver.statistics().extents == 0


def test_stop_leaves_views_good_and_no_files(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), np.arange(1000), StorageLevel.OFF_HEAP)
    a.put_single(block(2), BIG, StorageLevel.DISK_ONLY)
    ((_, location),) = locations(cluster, block(1))
    assert isinstance(location, ShmLocation)
    array = a.get_single(block(1))
    cluster.take_out("A").stop()
    assert not os_layer.unlink(location.segment)
    assert block_files(a) == []
    assert array.sum() == 499_500
    assert cluster.endpoint.statistics().shared_memory_used == 0


def test_a_manager_whose_master_is_gone_stops_all_the_same(
    make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), 1, StorageLevel.OFF_HEAP)
    with caplog.at_level(logging.DEBUG, "storage.local_blocks"):
        cluster.deliver(DRIVER, m.StopBlockManagerMaster())  # which stops the managers that can be reached
        cluster.take_out("A").stop()
    (said,) = [record for record in caplog.records if "the master was not told that segment" in record.message]
    assert said.levelno == logging.DEBUG  # the run is over
