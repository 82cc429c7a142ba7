"""The block master's removals: who is told to drop which blocks, and which are dropped because nobody uses them.

Covers the messages that remove blocks. The living are told to, and report each block as gone; until then a block stays
in the books, so an extent is never reused while a reader that was given its location may still map it. What dead ones
left is dropped at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from protocol import block_messages as m
from protocol.locations import BlockManagerId, ShmLocation
from protocol.message import Message, Order
from storage.block_fates import BlockFates
from storage.block_id import BlockId
from storage.block_table import BlockTable
from storage.idle_blocks import IdleBlocks, has_age
from storage.lease_table import LeaseTable
from storage.master_queries import answered, ask
from storage.outcome import Outcome


class MasterRemovals:
    """A part of the master endpoint. ``drop(block, holder)`` takes one copy out of the books; what follows from it."""

    def __init__(
        self,
        table: BlockTable,
        leases: LeaseTable,
        fates: BlockFates,
        drop: Callable[[BlockId, BlockManagerId], list[tuple[str, Order]]],
    ) -> None:
        self._table = table
        self._leases = leases
        self._fates = fates
        self._drop = drop
        self._idle = IdleBlocks()
        self.handlers: dict[type[Message], Callable[[str, Any, float], Outcome]] = {
            m.RemoveBlock: self._remove_block,
            m.RemoveRdd: self._remove_rdd,
            m.RemoveShuffle: self._remove_shuffle,
            m.RemoveBroadcast: self._remove_broadcast,
            m.DropUnusedBlocks: self._drop_unused,
        }

    def _remove_block(self, sender: str, message: m.RemoveBlock, now: float) -> Outcome:
        holders = [
            manager for manager in self._table.statuses(cast(BlockId, message.block_id)) if self._table.manager(manager)
        ]
        return self._remove(message, holders, lambda block_id: block_id == message.block_id, any)

    def _remove_rdd(self, sender: str, message: m.RemoveRdd, now: float) -> Outcome:
        return self._remove(message, self._table.managers, lambda block_id: block_id.of_rdd == message.rdd_id, sum)

    def _remove_shuffle(self, sender: str, message: m.RemoveShuffle, now: float) -> Outcome:
        def is_part(block_id: BlockId) -> bool:
            return block_id.of_shuffle == message.shuffle_id

        return self._remove(message, self._table.managers, is_part, any)

    def _remove_broadcast(self, sender: str, message: m.RemoveBroadcast, now: float) -> Outcome:
        def is_part(block_id: BlockId) -> bool:
            return block_id.of_broadcast == message.broadcast_id

        everywhere, own = message.remove_from_driver, self._table.own_id
        holders = [manager for manager in self._table.managers if everywhere or manager.executor_id != own]
        return self._remove(message, holders, is_part, sum)

    def _remove(
        self,
        order: Order,
        holders: Sequence[BlockManagerId],
        is_part: Callable[[BlockId], bool],
        total: Callable[[Iterable[int]], int],
    ) -> Outcome:
        """The living remove and report their own copies; what dead ones left is dropped here."""
        self._fates.removed(is_part)
        adopted = self._table.adopted_copies(is_part)
        tells = [tell for block_id, holder in adopted for tell in self._drop(block_id, holder)]
        dropped = len({block_id for block_id, _ in adopted})
        outcome = ask(holders, order, lambda answers: Outcome(total([dropped, *answered(answers)])))
        outcome.tells = tells
        return outcome

    def _drop_unused(self, sender: str, message: m.DropUnusedBlocks, now: float) -> Outcome:
        present = self._table.matching(has_age)  # what comes while the slaves are asked is none of this look's business

        def combine(answers: list[Any]) -> Outcome:
            used = {block_id for answer in answered(answers) for block_id in answer}
            all_answered = len(answered(answers)) == len(answers)  # who is silent may use anything

            def in_use(block_id: BlockId) -> bool:
                spared = block_id.of_rdd in message.spared_rdds
                return spared or not all_answered or block_id in used or self._is_read(block_id)

            idle = self._idle.look(present, in_use, now, message.unused_for)
            return self._remove_unused(idle, sender, now)

        return ask(self._table.managers, m.TakeUses(), combine)

    def _is_read(self, block_id: BlockId) -> bool:
        """Whether a process other than its holder has a view of the block."""
        places = [location for _, location in self._table.locations(block_id)]
        return any(isinstance(place, ShmLocation) and self._leases.is_leased(place) for place in places)

    def _remove_unused(self, block_ids: Sequence[BlockId], sender: str, now: float) -> Outcome:
        removal = Outcome(combine=lambda _: Outcome(len(block_ids)))
        for block_id in block_ids:
            if block_id.of_broadcast is None:
                outcome = self._remove_block(sender, m.RemoveBlock(block_id), now)
            else:  # executors keep its value, too
                outcome = self._remove_broadcast(sender, m.RemoveBroadcast(block_id.of_broadcast), now)
            removal.tells += outcome.tells
            removal.asks += outcome.asks
        return removal
