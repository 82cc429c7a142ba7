"""The master's books: block managers, what each of them holds, and what dead ones left behind.

Covers lookups and bookkeeping. Does not cover leases (`storage.lease_table`), the budget (`storage.segment_budget`) nor
messages (`storage.block_manager_master_endpoint`).

A block manager that dies takes the blocks on its heap with it. What it had reported in shared memory or in files is
*adopted*: it stays in the books under the dead manager's id and is read as before, and the segment or file is given
up when the last block in it goes. What it had put into an external store passes to the master's own block manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from protocol.locations import (
    BlockManagerId,
    ExternalLocation,
    FileLocation,
    HeapLocation,
    Location,
    ShmLocation,
)
from storage.block_id import BlockId
from storage.block_status import BlockStatus, StorageStatus
from storage.storage_level import StorageLevel

IN_SHARED_MEMORY = StorageLevel(False, True, True, False)
"""Level of a block whose only bytes are in shared memory."""


@dataclass(slots=True)
class _Manager:
    id: BlockManagerId
    max_memory: int  # bytes
    last_seen: float  # seconds, on the caller's clock
    blocks: set[BlockId] = field(default_factory=set)


def shared_status(location: ShmLocation | FileLocation) -> BlockStatus:
    """Status of a block that is at this location and nowhere else."""
    if isinstance(location, ShmLocation):
        return BlockStatus(IN_SHARED_MEMORY, off_heap_size=location.length, location=location)
    return BlockStatus(StorageLevel.DISK_ONLY, disk_size=location.length, location=location)


class BlockTable:
    """Which block manager holds which block, where and how.

    Not thread-safe: it belongs to the master endpoint. `check` states the invariants.

    ``own_id`` is the executor id of the block manager in the master's process, the driver's in a run.
    """

    def __init__(self, own_id: str) -> None:
        self.own_id = own_id
        self._managers: dict[str, _Manager] = {}  # {executor id: its living block manager}
        self._holders: dict[BlockId, dict[BlockManagerId, BlockStatus]] = {}  # every status is valid and has a location
        self._adopted: dict[str, set[tuple[BlockId, BlockManagerId]]] = {}  # {path: blocks of dead managers in it}

    # --- block managers -------------------------------------------------------------------------------------------

    def register(self, block_manager_id: BlockManagerId, max_memory: int, now: float) -> None:
        """A manager that is known already keeps its blocks; one that was taken for dead takes its adopted ones back."""
        known = self.manager(block_manager_id)
        if known is not None:
            known.max_memory, known.last_seen = max_memory, now
            return
        manager = _Manager(block_manager_id, max_memory, now)
        self._managers[block_manager_id.executor_id] = manager
        for path, copies in list(self._adopted.items()):
            manager.blocks |= {block_id for block_id, holder in copies if holder == block_manager_id}
            self._adopted[path] = {copy for copy in copies if copy[1] != block_manager_id}
            if not self._adopted[path]:
                del self._adopted[path]

    def manager(self, block_manager_id: BlockManagerId) -> _Manager | None:
        """The living manager with exactly this id: another process may have taken over the executor's name."""
        manager = self._managers.get(block_manager_id.executor_id)
        return manager if manager is not None and manager.id == block_manager_id else None

    def manager_of(self, executor_id: str) -> BlockManagerId | None:
        manager = self._managers.get(executor_id)
        return None if manager is None else manager.id

    def blocks_of(self, executor_id: str) -> frozenset[BlockId]:
        """What the executor's living manager holds."""
        manager = self._managers.get(executor_id)
        return frozenset() if manager is None else frozenset(manager.blocks)

    def holds_any(self, executor_id: str, wanted: Callable[[BlockId], bool]) -> bool:
        """Whether the executor's living manager holds a block that passes the filter."""
        manager = self._managers.get(executor_id)
        return manager is not None and any(map(wanted, manager.blocks))

    @property
    def managers(self) -> list[BlockManagerId]:
        return [manager.id for manager in self._managers.values()]

    def seen(self, block_manager_id: BlockManagerId, now: float) -> bool:
        """Note a sign of life; False when the manager is not known."""
        manager = self.manager(block_manager_id)
        if manager is None:
            return False
        manager.last_seen = now
        return True

    def silent_since(self, moment: float) -> list[str]:
        """Executor ids last seen before `moment`; never the master's own, which is this process."""
        return [
            executor_id
            for executor_id, manager in self._managers.items()
            if manager.last_seen < moment and executor_id != self.own_id
        ]

    def remove_manager(self, executor_id: str) -> tuple[BlockId, ...]:
        """Forget a manager: its heap blocks go, the others are adopted. Those that are the master's own from now on."""
        manager = self._managers.pop(executor_id, None)
        if manager is None:
            return ()
        external = []
        for block_id in manager.blocks:
            status = self._holders[block_id][manager.id]
            location = status.location
            if isinstance(location, ExternalLocation) and self.own_id in self._managers:
                self.put(block_id, self._managers[self.own_id].id, status)
                external.append(block_id)
            if location is None or isinstance(location, HeapLocation | ExternalLocation):
                self._forget(block_id, manager.id)
            else:
                self._holders[block_id][manager.id] = shared_status(location)
                self._adopted.setdefault(location.path, set()).add((block_id, manager.id))
        return tuple(external)

    # --- blocks -----------------------------------------------------------------------------------------------------

    def status(self, block_id: BlockId, holder: BlockManagerId) -> BlockStatus | None:
        return self._holders.get(block_id, {}).get(holder)

    def statuses(self, block_id: BlockId) -> Mapping[BlockManagerId, BlockStatus]:
        """Every holder, dead ones with an adopted copy too. The caller must not keep it."""
        return self._holders.get(block_id, {})

    def put(self, block_id: BlockId, holder: BlockManagerId, status: BlockStatus) -> None:
        """Note what a living manager holds. Precondition: the manager is known, the status has a location."""
        self._holders.setdefault(block_id, {})[holder] = status
        self._managers[holder.executor_id].blocks.add(block_id)

    def adopt(
        self, block_id: BlockId, holder: BlockManagerId, location: ShmLocation | FileLocation, lives: bool = False
    ) -> bool:
        """Note a block of a manager that is not there; False when its segment has been given up already, as is the case
        if there was no block in it, unless its process ``lives``.
        """
        if not lives and location.path not in self._adopted:
            return False
        self._holders.setdefault(block_id, {})[holder] = shared_status(location)
        self._adopted.setdefault(location.path, set()).add((block_id, holder))
        return True

    def drop(self, block_id: BlockId, holder: BlockManagerId) -> str | None:
        """Forget one copy. The path that nobody needs any more when it was the last adopted block there, else None."""
        status = self.status(block_id, holder)
        if status is None:
            return None
        manager = self.manager(holder)
        if manager is not None:
            manager.blocks.discard(block_id)
        self._forget(block_id, holder)
        if manager is not None or not isinstance(status.location, ShmLocation | FileLocation):
            return None
        path = status.location.path
        self._adopted[path].discard((block_id, holder))
        if self._adopted[path]:
            return None
        del self._adopted[path]
        return path

    def _forget(self, block_id: BlockId, holder: BlockManagerId) -> None:
        holders = self._holders[block_id]
        del holders[holder]
        if not holders:
            del self._holders[block_id]

    def locations(self, block_id: BlockId) -> list[tuple[BlockManagerId, Location]]:
        """Holders and where, cheapest to read first: shared memory, files, an external store, heaps."""
        found = [
            (holder, status.location)
            for holder, status in self._holders.get(block_id, {}).items()
            if status.location is not None
        ]
        return sorted(found, key=lambda entry: _COST[type(entry[1])])

    def matching(self, wanted: Callable[[BlockId], bool]) -> list[BlockId]:
        """Ids of the blocks that pass the filter."""
        return [block_id for block_id in self._holders if wanted(block_id)]

    def adopted_copies(self, wanted: Callable[[BlockId], bool]) -> list[tuple[BlockId, BlockManagerId]]:
        """Copies of dead managers whose block passes the filter."""
        return [copy for copies in self._adopted.values() for copy in copies if wanted(copy[0])]

    def shared_copies_of(self, executor_id: str) -> list[tuple[BlockId, BlockManagerId, ShmLocation | FileLocation]]:
        """What the executor wrote to shared memory or files, adopted or not."""
        manager = self._managers.get(executor_id)
        own = [] if manager is None else [(block_id, manager.id) for block_id in manager.blocks]
        adopted = [copy for copy in self.adopted_copies(lambda _: True) if copy[1].executor_id == executor_id]
        copies = []
        for block_id, holder in own + adopted:
            location = self._holders[block_id][holder].location
            if isinstance(location, ShmLocation | FileLocation):
                copies.append((block_id, holder, location))
        return copies

    def is_adopted(self, path: str) -> bool:
        return path in self._adopted

    def storage_statuses(self) -> Iterator[StorageStatus]:
        """One per living manager."""
        for manager in self._managers.values():
            blocks = {block_id: self._holders[block_id][manager.id] for block_id in manager.blocks}
            yield StorageStatus(manager.id, manager.max_memory, blocks)

    def adopted_statuses(self) -> Iterator[StorageStatus]:
        """One per dead manager that left blocks."""
        left: dict[BlockManagerId, dict[BlockId, BlockStatus]] = {}
        for block_id, holder in self.adopted_copies(lambda _: True):
            left.setdefault(holder, {})[block_id] = self._holders[block_id][holder]
        for holder, blocks in left.items():
            yield StorageStatus(holder, 0, blocks)

    def copies(self) -> list[BlockStatus]:
        """Of every block at every holder."""
        return [status for holders in self._holders.values() for status in holders.values()]

    @property
    def blocks(self) -> int:
        return len(self._holders)

    @property
    def adopted_paths(self) -> int:
        return len(self._adopted)

    def clear(self) -> None:
        self._managers.clear()
        self._holders.clear()
        self._adopted.clear()

    def check(self) -> None:
        """Audit all three books against each other. Raises AssertionError."""
        adopted = {copy for copies in self._adopted.values() for copy in copies}
        for block_id, holders in self._holders.items():
            assert holders, f"{block_id} is in the books without a holder"
            for holder, status in holders.items():
                assert status.is_cached, f"{block_id} is listed at {holder}, which lacks it"
                assert status.location is not None, f"{block_id} at {holder} is nowhere"
                manager = self.manager(holder)
                listed = (block_id, holder) in adopted if manager is None else block_id in manager.blocks
                assert listed, f"{block_id} is not in the books of its holder {holder}"
        for manager in self._managers.values():
            for block_id in manager.blocks:
                assert self.status(block_id, manager.id) is not None, f"{manager.id} lists {block_id}, which it lacks"
        for path, copies in self._adopted.items():
            assert copies, f"{path} is adopted and nothing is in it"
            for block_id, holder in copies:
                adopted_status = self.status(block_id, holder)
                assert adopted_status is not None, f"{path} lists {block_id}, which is not in the books"
                location = adopted_status.location
                assert isinstance(location, ShmLocation | FileLocation), f"{block_id} was adopted from a heap"
                assert location.path == path, f"{block_id} is not in {path}"


_COST: dict[type, int] = {ShmLocation: 0, FileLocation: 1, ExternalLocation: 2, HeapLocation: 3}
