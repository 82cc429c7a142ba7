"""A `Status` over state machines that have no processes."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

from localcluster.conf.master_url import Layout
from localcluster.driver.event_history import EventHistory
from localcluster.driver.executor_history import ExecutorHistory
from localcluster.driver.executor_pool import ExecutorStatistics
from localcluster.driver.heartbeats import Heartbeats
from localcluster.driver.status import Status
from protocol.block_messages import RegisterBlockManager, UpdateBlockInfo
from protocol.channel_statistics import ChannelStatistics
from protocol.cluster_messages import ExecutorHeartbeat
from protocol.locations import DRIVER, BlockManagerId, Location
from storage.block_id import RDDBlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.storage_level import StorageLevel
from tests.localcluster.scheduler.harness import FakeDriver
from tests.localcluster.scheduler.lineage import Lineage

THE_DRIVER, A, B = (BlockManagerId(name, pid) for name, pid in ((DRIVER, 1), ("a", 2), ("b", 3)))


class Pool:
    """What is asked of a pool of executors."""

    def __init__(self) -> None:
        self.history = ExecutorHistory(retained=2)

    def statistics(self) -> ExecutorStatistics:
        return ExecutorStatistics(target=3, alive=2, starting=1, draining=0, ordered=4, lost=1)

    def messages(self) -> ChannelStatistics:
        return ChannelStatistics(frames_sent=7)


class StatusBench:
    """The driver, and executors ``a`` and ``b`` of two cores, of which each task takes one."""

    def __init__(self, driver: FakeDriver | None = None) -> None:
        self.driver, self.lineage = driver or FakeDriver({"a": 2, "b": 2}), Lineage()
        self.master, self.heartbeats = BlockManagerMasterEndpoint(1000, is_whole=lambda _: True), Heartbeats()
        self.events, self.pool = EventHistory(), Pool()
        self.status = self.make(threading.RLock())
        for manager in (THE_DRIVER, A, B):
            self.master.receive(manager.executor_id, RegisterBlockManager(manager, 500), 0.0)

    def make(self, lock: AbstractContextManager[Any]) -> Status:
        parts = (self.driver.dag, self.master, self.pool, self.heartbeats, self.events)
        return Status(lock, *parts, Layout(2, 2, 4))  # type: ignore[arg-type]

    def store(self, holder: BlockManagerId, rdd_id: int, index: int, location: Location, **sizes: int) -> None:
        level, sizes = StorageLevel.MEMORY_ONLY, {"memory_size": 0, "disk_size": 0, "off_heap_size": 0, **sizes}
        message = UpdateBlockInfo(holder, RDDBlockId(rdd_id, index), level, location=location, **sizes)
        self.master.receive(holder.executor_id, message, 0.0)

    def beat(self, executor_id: str, rss: int, shared: int, *running: int) -> None:
        self.heartbeats.receive(executor_id, ExecutorHeartbeat(executor_id, running, rss, shared), None)


class Rdd:
    """What is looked at of a persisted RDD."""

    kind = "PythonRDD"

    def __init__(self, number: int, name: str | None = None) -> None:
        self._number, self._name = number, name
        self._partition_list = [None] * 3

    def id(self) -> int:
        return self._number

    def name(self) -> str | None:
        return self._name

    def getStorageLevel(self) -> StorageLevel:
        return StorageLevel.MEMORY_ONLY
