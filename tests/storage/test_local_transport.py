from __future__ import annotations

import pytest

from protocol import block_messages as m
from protocol.errors import AskTimeoutError, StorageError
from protocol.locations import DRIVER
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, block, locations


def test_a_lost_ask_is_a_time_out_and_a_lost_tell_is_nothing(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    cluster.hook = lambda seen: seen.channel == "A"
    with pytest.raises(AskTimeoutError):
        a.master.get_locations(block(1))
    a.master.remove_block(block(1), blocking=False)
    assert len(locations(cluster, block(1))) == 1
    cluster.driver.master.remove_block(block(1))  # the order to A is lost, too
    assert len(locations(cluster, block(1))) == 1
    cluster.hook = None
    cluster.driver.master.remove_block(block(1))
    assert locations(cluster, block(1)) == ()


def test_a_dead_manager_gets_no_orders_and_the_others_do(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    for manager in (a, b):
        manager.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    cluster.take_out("A").stop()
    cluster.driver.master.remove_block(block(1))
    assert block(1) not in b.block_ids()
    assert set(cluster.managers) == {DRIVER, "B"}


def test_a_slave_endpoint_knows_its_own_orders_only(make_cluster: ClusterMaker) -> None:
    endpoint = BlockManagerSlaveEndpoint(make_cluster().driver)
    assert m.RemoveRdd in endpoint.orders
    assert endpoint.receive(m.RemoveRdd(1)) == 0
    report = m.GetMemoryStatus()
    assert m.GetMemoryStatus not in endpoint.orders
    with pytest.raises(StorageError, match="no order to a block manager"):
        endpoint.receive(report)  # type: ignore[arg-type]
