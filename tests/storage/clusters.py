"""Block managers in one process, for the tests of storage, and the sizes that the tests reckon with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storage.block_id import StreamBlockId
from storage.conf import StorageConf
from storage.local_transport import LocalCluster
from storage.scratch import Scratch

MEMORY = 12_000  # bytes of the heap: room for two blocks of BIG, not for three
BIG = bytes(4000)
SEGMENT = 4 << 20  # bytes: the least that an arena takes


class ClusterMaker:
    """Makes clusters that are audited, stopped and removed at the end of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: list[tuple[LocalCluster, Scratch]] = []

    def __call__(self, *executors: str, **settings: Any) -> LocalCluster:
        defaults: dict[str, Any] = {
            "max_memory": MEMORY,
            "shared_memory": 16 * SEGMENT,
            "unroll_threshold": 512,
            "unroll_fraction": 1.0,
        }
        scratch = Scratch.create((str(self.directory / f"local{len(self._made)}"),))
        cluster = LocalCluster(StorageConf(**defaults | settings), scratch)
        self._made.append((cluster, scratch))
        for executor in executors:
            cluster.add(executor)
        return cluster

    def close(self) -> None:
        try:
            for cluster, _ in self._made:
                cluster.check()
        finally:
            for cluster, scratch in self._made:
                cluster.stop()
                scratch.remove()


def block(number: int) -> StreamBlockId:
    """A block of no RDD."""
    return StreamBlockId(0, number)
