"""What processes read of each other, as the block master sees it: leases, and copies that are made to be read.

Covers the messages about bytes that another process wrote. A location in another's segment is granted with a lease;
the extent of a block that is gone, or of a copy for one reader, is the owner's again when its last lease has come back.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from typing import Any, cast

from protocol import block_messages as m
from protocol.locations import BlockManagerId, ShmLocation
from storage.block_id import BlockId
from storage.block_table import BlockTable
from storage.lease_table import LeaseTable
from storage.master_queries import ask
from storage.master_replicas import MasterReplicas
from storage.outcome import Handlers, Outcome, Tells
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)


class MasterSharing:
    """A part of the master endpoint. ``drop(block, holder)`` takes one copy out of the books; what follows from it.

    ``expired`` are executors that fell silent and may live, at any time.
    """

    def __init__(
        self,
        table: BlockTable,
        leases: LeaseTable,
        replicas: MasterReplicas,
        expired: Container[str],
        drop: Callable[[BlockId, BlockManagerId], Tells],
    ) -> None:
        self._table = table
        self._leases = leases
        self._replicas = replicas
        self._expired = expired
        self._drop = drop
        self.handlers: Handlers = {
            m.GetLocations: self._get_locations,
            m.FetchBlock: self._fetch_block,
            m.ReplicateTo: self._replicate_to,
            m.ReleaseLeases: self._release_leases,
            m.GetPinned: self._get_pinned,
        }

    def _get_locations(self, sender: str, message: m.GetLocations, now: float) -> Outcome:
        locations = tuple(self._table.locations(cast(BlockId, message.block_id)))
        for holder, location in locations:
            if isinstance(location, ShmLocation) and holder.executor_id != sender:
                self._leases.grant(location, sender)
        return Outcome(locations)

    def _fetch_block(self, sender: str, message: m.FetchBlock, now: float) -> Outcome:
        """What the holder shares is the block itself, or a copy made for this one reader: that extent goes back to the
        holder when the reader's view dies.
        """
        block_id, holder = cast(BlockId, message.block_id), self._table.manager_of(message.holder)
        if holder is None:
            return Outcome(None)

        def combine(answers: list[Any]) -> Outcome:
            (location,) = answers
            if location is None:
                return Outcome(None, self._drop(block_id, holder))
            if isinstance(location, BaseException):
                # The text alone: the error's frames may keep the holder's view.
                log.warning("%s cannot share block %s: %s", holder.executor_id, block_id, str(location))
                return Outcome(None)
            is_dead = self._table.manager_of(sender) is None and sender not in self._expired
            if is_dead:  # while it waited; it would never give back a lease
                unread = isinstance(location, ShmLocation) and self._is_unread_copy(block_id, message.holder, location)
                return Outcome(None, extents_released([(message.holder, location)]) if unread else [])
            if isinstance(location, ShmLocation):
                self._leases.grant(location, sender)
                if not self._is_at(block_id, holder, location):
                    self._leases.retire(location, holder.executor_id)
            return Outcome(location)

        return ask([holder], m.ShareBlock(message.block_id), combine)

    def _replicate_to(self, sender: str, message: m.ReplicateTo, now: float) -> Outcome:
        """The peers read under leases; `sender` is told when the last of them is done, in case it made a copy to be
        read.
        """
        block_id, level = cast(BlockId, message.block_id), cast(StorageLevel, message.level)
        location = message.location
        self._replicas.want(block_id, level)
        peers = [peer for peer in message.peers if self._table.manager(peer) is not None]

        def combine(answers: list[Any]) -> Outcome:
            stored = tuple(peer for peer, answer in zip(peers, answers, strict=True) if answer is True)
            if isinstance(location, ShmLocation) and self._is_unread_copy(block_id, sender, location):
                return Outcome(stored, extents_released([(sender, location)]))
            return Outcome(stored)

        return self._replicas.order(block_id, level, location, peers, combine)

    def _is_unread_copy(self, block_id: BlockId, owner: str, location: ShmLocation) -> bool:
        """Whether the extent is a copy made to be read once, and nobody reads it any more; else it waits in limbo."""
        holder = self._table.manager_of(owner)
        if holder is None or self._is_at(block_id, holder, location):
            return False
        return self._leases.retire(location, owner)

    def _is_at(self, block_id: BlockId, holder: BlockManagerId, location: ShmLocation) -> bool:
        """Whether these are the holder's own bytes of the block, not a copy for others."""
        status = self._table.status(block_id, holder)
        return status is not None and status.location == location

    def _release_leases(self, sender: str, message: m.ReleaseLeases, now: float) -> Outcome:
        freed = [
            entry for location, count in message.releases for entry in self._leases.release(sender, location, count)
        ]
        return Outcome(tells=extents_released(freed))

    def _get_pinned(self, sender: str, message: m.GetPinned, now: float) -> Outcome:
        return Outcome(frozenset(location for location in message.locations if self._leases.is_leased(location)))


def extents_released(freed: Iterable[tuple[str, ShmLocation]]) -> Tells:
    """One message per owner."""
    by_owner: defaultdict[str, list[ShmLocation]] = defaultdict(list)
    for owner, location in freed:
        by_owner[owner].append(location)
    return [(owner, m.ExtentReleased(tuple(locations))) for owner, locations in by_owner.items()]
