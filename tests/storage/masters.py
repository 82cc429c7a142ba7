"""A block master without processes, with short names for what its tests do often."""

from __future__ import annotations

from typing import Any

from protocol import block_messages as m
from protocol.locations import (
    DRIVER,
    BlockManagerId,
    ExternalLocation,
    FileLocation,
    HeapLocation,
    Location,
    ShmLocation,
)
from protocol.message import Message
from storage.block_id import RDDBlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.storage_level import StorageLevel

A, B, C = (BlockManagerId(name, number) for number, name in enumerate("ABC", 1))
THE_DRIVER = BlockManagerId(DRIVER, 9)
BLOCK = RDDBlockId(1, 2)
SEGMENT = "/dev/shm/seg-a"
SHM = ShmLocation(SEGMENT, 64, 100)
FILE = FileLocation("/tmp/block-file", 0, 100)


class Master:
    """The endpoint with short names for what the tests do often; audited after each message."""

    def __init__(self, *managers: BlockManagerId, shared_memory: int = 1000) -> None:
        self.events: list[Any] = []
        self.damaged: set[Location] = set()  # places whose bytes are not there
        self.endpoint = BlockManagerMasterEndpoint(
            shared_memory,
            slave_timeout=10.0,
            record=self.events.append,
            is_whole=lambda location: location not in self.damaged,
        )
        self.now = 100.0
        for manager in (THE_DRIVER, *managers):
            self.tell(manager, m.RegisterBlockManager(manager, 500))

    def send(self, sender: BlockManagerId | str, message: Message) -> Any:
        name = sender if isinstance(sender, str) else sender.executor_id
        outcome = self.endpoint.receive(name, message, self.now)
        self.endpoint.check()
        return outcome

    def ask(self, sender: BlockManagerId | str, message: Message) -> Any:
        return self.send(sender, message).reply

    def tell(self, sender: BlockManagerId | str, message: Message) -> list[Any]:
        tells: list[Any] = self.send(sender, message).tells
        return tells

    def expire(self, silent: BlockManagerId) -> None:
        """Of A, B and C, one alone has sent no heartbeat."""
        self.now += 11
        for alive in {A, B, C} - {silent}:
            self.ask(alive, m.BlockManagerHeartbeat(alive))
        self.send(DRIVER, m.ExpireDeadHosts())

    def answer(self, sender: BlockManagerId | str, message: Message, *answers: Any) -> Any:
        """The outcome once the slaves have answered."""
        outcome = self.send(sender, message)
        assert len(outcome.asks) == len(answers), outcome.asks
        following = outcome.combine(list(answers))
        self.endpoint.check()
        return following

    def holds(self, holder: BlockManagerId, location: Location, block: Any = BLOCK, memory: int = 0) -> m.UpdateReply:
        level = {
            ShmLocation: StorageLevel.OFF_HEAP,
            FileLocation: StorageLevel.DISK_ONLY,
            HeapLocation: StorageLevel.MEMORY_ONLY,
            ExternalLocation: StorageLevel.OFF_HEAP,
        }
        update = m.UpdateBlockInfo(holder, block, level[type(location)], memory, 0, 0, location)
        reply: m.UpdateReply = self.ask(holder, update)
        return reply

    def gone(self, holder: BlockManagerId, block: Any = BLOCK) -> m.UpdateReply:
        reply: m.UpdateReply = self.ask(holder, m.UpdateBlockInfo(holder, block, StorageLevel.NONE, 0, 0, 0, None))
        return reply

    def locations(self, reader: BlockManagerId, block: Any = BLOCK) -> Any:
        return self.ask(reader, m.GetLocations(block))

    def release(self, reader: BlockManagerId, count: int = 1, location: ShmLocation = SHM) -> list[Any]:
        return self.tell(reader, m.ReleaseLeases(((location, count),)))
