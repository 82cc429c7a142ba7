"""The block master's removals: who is told to drop which blocks, and which are dropped because nobody uses them.

Covers the messages that remove blocks. The living are told to, and report each block as gone; until then a block stays
in the books, so an extent is never reused while a reader that was given its location may still map it. What dead ones
left is dropped at once. What is left by one that dies before it has answered a removal, or has answered that it removes
what is in use as soon as that ends, is dropped then; one that was silent, and so not asked, is when it comes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from protocol import block_messages as m
from protocol.locations import BlockManagerId, ShmLocation
from storage.block_fates import BlockFates
from storage.block_id import BlockId
from storage.block_table import BlockTable
from storage.idle_blocks import IdleBlocks, has_age
from storage.lease_table import LeaseTable
from storage.master_queries import answered, ask
from storage.master_replicas import MasterReplicas
from storage.outcome import Handlers, Outcome, Tells

Removal: TypeAlias = m.RemoveBlock | m.RemoveRdd | m.RemoveShuffle | m.RemoveBroadcast


def removed_by(order: Removal) -> Callable[[BlockId], bool]:
    """Whether a block is one of those that the order is about."""
    if isinstance(order, m.RemoveRdd):
        return lambda block_id: block_id.of_rdd == order.rdd_id
    if isinstance(order, m.RemoveShuffle):
        return lambda block_id: block_id.of_shuffle == order.shuffle_id
    if isinstance(order, m.RemoveBroadcast):
        return lambda block_id: block_id.of_broadcast == order.broadcast_id
    return lambda block_id: block_id == order.block_id


def _to_tell(order: Removal, block_ids: Iterable[BlockId]) -> set[Removal]:
    """What to ask of a process that comes back. Blocks of RDDs one by one, as it may have made others since; beside
    those of broadcasts and shuffles it keeps more, and no other will have their ids.
    """
    if isinstance(order, m.RemoveShuffle | m.RemoveBroadcast):
        return {order}
    return {m.RemoveBlock(block_id) for block_id in block_ids}


class MasterRemovals:
    """A part of the master endpoint. ``drop(block, holder)`` takes one copy out of the books; what follows from it.

    ``expired``: {executor that fell silent and may live: what it held then}, at any time.
    """

    def __init__(
        self,
        table: BlockTable,
        leases: LeaseTable,
        fates: BlockFates,
        replicas: MasterReplicas,
        expired: Mapping[str, Collection[BlockId]],
        drop: Callable[[BlockId, BlockManagerId], Tells],
    ) -> None:
        self._table = table
        self._leases = leases
        self._fates = fates
        self._replicas = replicas
        self._unanswered: defaultdict[str, set[Removal]] = defaultdict(set)  # {executor id: what it has not confirmed}
        self._put_off: defaultdict[str, set[BlockId]] = defaultdict(set)  # {executor id: answered for, and still there}
        self._missed: defaultdict[str, set[Removal]] = defaultdict(set)  # {executor id: what came while it was silent}
        self._expired = expired
        self._drop = drop
        self._idle = IdleBlocks()
        self.handlers: Handlers = {
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
        return self._remove(message, holders, any)

    def _remove_rdd(self, sender: str, message: m.RemoveRdd, now: float) -> Outcome:
        return self._remove(message, self._table.managers, sum)

    def _remove_shuffle(self, sender: str, message: m.RemoveShuffle, now: float) -> Outcome:
        return self._remove(message, self._table.managers, any)

    def _remove_broadcast(self, sender: str, message: m.RemoveBroadcast, now: float) -> Outcome:
        everywhere, own = message.remove_from_driver, self._table.own_id
        holders = [manager for manager in self._table.managers if everywhere or manager.executor_id != own]
        return self._remove(message, holders, sum)

    def _remove(
        self,
        order: Removal,
        holders: Sequence[BlockManagerId],
        total: Callable[[Iterable[int]], int],
    ) -> Outcome:
        """The living remove and report their own copies; what dead ones left is dropped here."""
        is_part = removed_by(order)
        self._fates.removed(is_part)
        self._replicas.removed(is_part)
        asked = [holder.executor_id for holder in holders]
        for executor_id in asked:
            self._unanswered[executor_id].add(order)
        for executor_id, held in self._expired.items():
            self._missed[executor_id] |= _to_tell(order, filter(is_part, held))
        adopted = self._table.adopted_copies(is_part)
        tells = [tell for block_id, holder in adopted for tell in self._drop(block_id, holder)]
        dropped = len({block_id for block_id, _ in adopted})

        def combine(answers: list[Any]) -> Outcome:
            self._note_answers(order, asked, answers)
            return Outcome(total([dropped, *answered(answers)]))

        outcome = ask(holders, order, combine)
        outcome.tells = tells
        return outcome

    def _note_answers(self, order: Removal, asked: Sequence[str], answers: Sequence[Any]) -> None:
        for executor_id, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, BaseException) and executor_id in self._unanswered:
                if answer:
                    self._put_off[executor_id].update(self._held(order, executor_id))
                self._unanswered[executor_id].discard(order)
                if not self._unanswered[executor_id]:
                    del self._unanswered[executor_id]

    def _held(self, order: Removal, executor_id: str) -> Iterable[BlockId]:
        """Of the blocks that the order is about, those that the executor has not reported as gone."""
        blocks = self._table.blocks_of(executor_id)
        if isinstance(order, m.RemoveBlock):
            return blocks & {cast(BlockId, order.block_id)}
        return filter(removed_by(order), blocks)

    def gone(self, block_id: BlockId, executor_id: str) -> None:
        """It has reported the block as gone; what it puts from here on is another one."""
        if executor_id in self._put_off:
            self._put_off[executor_id].discard(block_id)

    def executor_lost(self, executor_id: str) -> Tells:
        """Its blocks were adopted: drop those that it was to remove, and had not."""
        self._missed.pop(executor_id, None)
        put_off, removals = self._put_off.pop(executor_id, set()), self._unanswered.pop(executor_id, set())
        if not removals and not put_off:
            return []
        filters = [put_off.__contains__, *map(removed_by, removals)]
        adopted = self._table.adopted_copies(lambda block_id: any(is_part(block_id) for is_part in filters))
        mine = [(block_id, holder) for block_id, holder in adopted if holder.executor_id == executor_id]
        return [tell for block_id, holder in mine for tell in self._drop(block_id, holder)]

    def came_back(self, executor_id: str) -> Outcome:
        """It was taken for silent: ask it for what it was not asked for meanwhile."""
        orders = list(self._missed.pop(executor_id, ()))
        self._unanswered[executor_id].update(orders)

        def combine(answers: list[Any]) -> Outcome:
            for order, answer in zip(orders, answers, strict=True):
                self._note_answers(order, [executor_id], [answer])
            return Outcome()

        return Outcome(asks=[(executor_id, order) for order in orders], combine=combine)

    def clear(self) -> None:
        self._unanswered.clear()
        self._put_off.clear()
        self._missed.clear()

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
