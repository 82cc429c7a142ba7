"""What a block manager does when the master orders it: one method call per order.

Runs in threads of the executor beside its tasks, in the driver in whatever thread carries out the master's outcomes.
Follows Spark's ``BlockManagerSlaveEndpoint``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from protocol import block_messages as m
from protocol.errors import StorageError
from protocol.message import Order
from storage.block_manager import BlockManager


class BlockManagerSlaveEndpoint:
    """What answers the block master's messages for one block manager. No endpoint of a channel.

    Thread-safe, as the block manager is.
    """

    def __init__(self, block_manager: BlockManager) -> None:
        manager = block_manager
        self._handlers: dict[type[Order], Callable[[Any], Any]] = {
            m.RemoveBlock: lambda order: manager.remove_block(order.block_id),
            m.RemoveRdd: lambda order: manager.remove_rdd(order.rdd_id),
            m.RemoveShuffle: lambda order: manager.remove_shuffle(order.shuffle_id),
            m.RemoveBroadcast: lambda order: manager.remove_broadcast(order.broadcast_id),
            m.TakeUses: lambda order: manager.take_uses(),
            m.ShareBlock: lambda order: manager.share_block(order.block_id),
            m.ReplicateBlock: lambda order: manager.store_replica(order.block_id, order.level, order.location),
            m.AdoptBlocks: lambda order: manager.adopt_blocks(order.block_ids),
            m.StopBlockManager: lambda order: manager.stop(),
            m.ExtentReleased: lambda order: manager.extents_released(order.locations),
            m.ReleaseSegment: lambda order: manager.release_segment(order.segment, order.remove),
        }

    def receive(self, order: Order) -> Any:
        """Carry the order out; the answer is as its docstring says. Raises StorageError for an order of another
        kind.
        """
        handler = self._handlers.get(type(order))
        if handler is None:
            raise StorageError(f"{type(order).__name__} is no order to a block manager")
        return handler(order)

    @property
    def orders(self) -> Collection[type[Order]]:
        """What `receive` knows: a process has other orders in the same pipe."""
        return self._handlers.keys()
