"""The block master's care for second copies: what a dead executor had of a block with replicas is copied again.

Covers which blocks lack copies, and having them copied in the background: by `ReplicateBlock` to a peer that has none,
from where the peer can map it, or from a heap by way of its holder (`ShareBlock`). Nobody is asked for two copies at
once: so one that does not answer holds up only what it alone can do, until it has been found dead, stopped or silent,
which is an answer. It begins when an executor died or a copy was found damaged, and when one has registered, since
there may have been no peer before. An adopted copy is a copy; one that was evicted is not made again, for there is no
room. Follows Spark's
``spark.storage.replication.proactive``, but that the master tells the peer, not a holder.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from protocol import block_messages as m
from protocol.locations import BlockManagerId, ExternalLocation, FileLocation, SharedLocation, ShmLocation
from storage.block_id import BlockId
from storage.block_table import BlockTable
from storage.lease_table import LeaseTable
from storage.master_queries import ask
from storage.outcome import Outcome
from storage.replication import order_peers
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)


class MasterReplicas:
    """A part of the master endpoint."""

    def __init__(self, table: BlockTable, leases: LeaseTable) -> None:
        self._table = table
        self._leases = leases
        self._wanted: dict[BlockId, StorageLevel] = {}  # {block in the books: level, of more than one copy}
        self._refused: set[tuple[BlockId, BlockManagerId]] = set()  # peers that took no copy since the last `begin`
        self._ordered: set[tuple[BlockId, BlockManagerId]] = set()  # copies that peers are told to make, by whomever
        self._copied: set[BlockId] = set()  # here, now
        self._asked: set[str] = set()  # executor ids of those who have not answered
        self._left: defaultdict[str, list[BlockId]] = defaultdict(list)  # {whom to ask for the bytes, or "": blocks}

    def want(self, block_id: BlockId, level: StorageLevel) -> None:
        """A block was put with this level; what a holder reports of it later is the level of its tier."""
        if level.replication > 1:
            self._wanted[block_id] = level

    def order(
        self,
        block_id: BlockId,
        level: StorageLevel,
        location: SharedLocation,
        peers: Sequence[BlockManagerId],
        combine: Callable[[list[Any]], Outcome],
    ) -> Outcome:
        """Have peers copy the bytes at a location, which they read under leases."""
        if isinstance(location, ShmLocation):
            for peer in peers:
                self._leases.grant(location, peer.executor_id)
        copies = {(block_id, peer) for peer in peers}
        self._ordered |= copies

        def ended(answers: list[Any]) -> Outcome:
            self._ordered.difference_update(copies)
            return combine(answers)

        return ask(peers, m.ReplicateBlock(block_id, level.without_replicas, location), ended)

    def is_copy(self, block_id: BlockId, holder: BlockManagerId) -> bool:
        """Whether what the holder stores now is a copy that it was told to make."""
        return (block_id, holder) in self._ordered

    def removed(self, is_part: Callable[[BlockId], bool]) -> None:
        """Nobody wants these blocks any more."""
        self._wanted = {block_id: level for block_id, level in self._wanted.items() if not is_part(block_id)}

    def dropped(self, block_id: BlockId) -> None:
        """A copy is out of the books."""
        if block_id in self._wanted and not self._table.statuses(block_id):
            del self._wanted[block_id]

    def clear(self) -> None:
        self._wanted.clear()
        self._left.clear()

    def begin(self) -> Outcome | None:
        """What is to be done in the background now that there are fewer or more executors."""
        self._wanted = {block_id: level for block_id, level in self._wanted.items() if self._table.statuses(block_id)}
        self._refused.clear()
        self._left.clear()
        for block_id in self._wanted:
            self._enlist(block_id)
        return self._go_on()

    def _lacks(self, block_id: BlockId) -> bool:
        """An external store is one for all: whether it keeps copies is its own affair."""
        level, holders = self._wanted.get(block_id), self._table.statuses(block_id)
        if level is None or not 0 < len(holders) < level.replication:
            return False
        return not any(isinstance(status.location, ExternalLocation) for status in holders.values())

    def _enlist(self, block_id: BlockId) -> None:
        if block_id not in self._copied and self._lacks(block_id):
            holder, location = self._table.locations(block_id)[0]
            self._left["" if isinstance(location, ShmLocation | FileLocation) else holder.executor_id].append(block_id)

    def _go_on(self) -> Outcome | None:
        """The copies that can begin now, for which nobody is needed who has not answered yet."""
        begun: Outcome | None = None
        for source, blocks in self._left.items():
            vain = []
            while blocks and source not in self._asked and self._anyone_idle_but(source):
                block_id = blocks.pop()
                peers = self._peers(block_id)
                idle = [peer for peer in peers if peer.executor_id not in self._asked]
                if idle:
                    outcome = self._copy(block_id, order_peers(block_id.name, idle)[0])
                    outcome.background, begun = begun, outcome
                elif peers:
                    vain.append(block_id)
            blocks += vain
        return begun

    def _anyone_idle_but(self, source: str) -> bool:
        busy = {*self._asked, source, self._table.own_id}
        return any(manager.executor_id not in busy for manager in self._table.managers)

    def _peers(self, block_id: BlockId) -> list[BlockManagerId]:
        """Those who can take another copy, if the block lacks one; its putter may have told some already."""
        if not self._lacks(block_id):
            return []
        holders, vain = self._table.statuses(block_id), self._refused | self._ordered
        return [
            peer
            for peer in self._table.managers
            if peer.executor_id != self._table.own_id and peer not in holders and (block_id, peer) not in vain
        ]

    def _copy(self, block_id: BlockId, peer: BlockManagerId) -> Outcome:
        holder, location = self._table.locations(block_id)[0]
        self._copied.add(block_id)
        self._asked.add(peer.executor_id)
        if isinstance(location, ShmLocation | FileLocation):
            return self._send(block_id, peer, location)
        self._asked.add(holder.executor_id)
        return Outcome(
            asks=[(holder.executor_id, m.ShareBlock(block_id))],
            combine=lambda answers: self._shared(block_id, peer, holder, answers[0]),
        )

    def _shared(self, block_id: BlockId, peer: BlockManagerId, holder: BlockManagerId, answer: Any) -> Outcome:
        """The holder made a copy for the peer, which is its own again when the peer has read it, or at once if that has
        died meanwhile.
        """
        self._asked.discard(holder.executor_id)
        is_there = answer is not None and not isinstance(answer, BaseException)
        status = self._table.status(block_id, holder)
        is_copy = isinstance(answer, ShmLocation) and (status is None or status.location != answer)
        if is_there and block_id in self._wanted and self._table.manager(peer) is not None:
            outcome = self._send(block_id, peer, answer)
            if is_copy:
                self._leases.retire(answer, holder.executor_id)
            outcome.background = self._go_on()
            return outcome
        self._refused.add((block_id, peer))
        outcome = self._ended(block_id, peer)
        if is_copy and self._leases.retire(answer, holder.executor_id):
            outcome.tells.append((holder.executor_id, m.ExtentReleased((answer,))))
        return outcome

    def _send(self, block_id: BlockId, peer: BlockManagerId, location: SharedLocation) -> Outcome:
        def combine(answers: list[Any]) -> Outcome:
            if answers[0] is not True:
                self._refused.add((block_id, peer))
            outcome = self._ended(block_id, peer)
            if block_id not in self._wanted:  # it was removed meanwhile, perhaps before the peer had it
                outcome.tells.append((peer.executor_id, m.RemoveBlock(block_id)))
            return outcome

        log.info("block %s is copied to %s again", block_id, peer.executor_id)
        return self.order(block_id, self._wanted[block_id], location, [peer], combine)

    def _ended(self, block_id: BlockId, peer: BlockManagerId) -> Outcome:
        """The copy is made, or failed; the block may need another."""
        self._copied.discard(block_id)
        self._asked.discard(peer.executor_id)
        self._enlist(block_id)
        return Outcome(background=self._go_on())
