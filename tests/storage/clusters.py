"""Block managers in one process, for the tests of storage, and the sizes that the tests reckon with."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from protocol.block_messages import GetLocationsMultipleBlockIds
from protocol.events import nobody
from protocol.locations import DRIVER
from storage.block_id import StreamBlockId
from storage.block_manager import BlockManager
from storage.conf import StorageConf
from storage.local_transport import LocalCluster
from storage.scratch import Scratch

MEMORY = 12_000  # bytes of the heap: room for two blocks of BIG, not for three
BIG = bytes(4000)
LEVELS = ["MEMORY_ONLY", "MEMORY_ONLY_SER", "MEMORY_AND_DISK", "MEMORY_AND_DISK_SER", "DISK_ONLY", "OFF_HEAP"]
SEGMENT = 4 << 20  # bytes: the least that an arena takes


class ClusterMaker:
    """Makes clusters that are audited, stopped and removed at the end of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: list[tuple[LocalCluster, Scratch]] = []

    def __call__(self, *executors: str, **settings: Any) -> LocalCluster:
        record = settings.pop("record", nobody)
        defaults: dict[str, Any] = {
            "max_memory": MEMORY,
            "shared_memory": 16 * SEGMENT,
            "unroll_threshold": 512,
            "unroll_fraction": 1.0,
        }
        scratch = Scratch.create((str(self.directory / f"local{len(self._made)}"),))
        cluster = LocalCluster(StorageConf(**defaults | settings), scratch, record)
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


def run_together(*actions: Any) -> None:
    """Run each in a thread of its own, started together; raise what any of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(actions))

    def run(action: Any) -> None:
        try:
            barrier.wait(30)
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "deadlock"
    if errors:
        raise errors[0]


def locations(cluster: LocalCluster, block_id: Any) -> tuple[Any, ...]:
    """Where the master has the block; no message that may be lost."""
    (found,) = cluster.endpoint.receive(DRIVER, GetLocationsMultipleBlockIds((block_id,)), cluster.now).reply
    return tuple(found)


def remove_shared_files(cluster: LocalCluster) -> int:
    """What systemd does to a run that goes on after its user has logged out; how many files there were."""
    mine = [path for path in Path("/dev/shm").iterdir() if path.name.startswith(cluster._scratch.name)]
    for path in mine:
        path.unlink()
    return len(mine)


def block_files(manager: BlockManager) -> list[str]:
    """Paths of all files that its blocks have in the local directory."""
    root = Path(manager.disk_block_manager.get_file(block(0))).parents[1]
    return [str(path) for path in root.rglob("*") if path.is_file()]


def has(manager: BlockManager, block_id: Any) -> bool:
    """Whether the block is here; a look that leaves no lock."""
    result = manager.get_local_values(block_id)
    if result is None:
        return False
    result.close()
    return True


def values(manager: BlockManager, block_id: Any) -> list[Any] | None:
    result = manager.get(block_id)
    return None if result is None else list(result.values)
