"""The block master's read-only answers: who is there, what they hold, how much memory is free.

Each is a function of the books and the message. `storage.block_manager_master_endpoint` answers everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from protocol import block_messages as m
from protocol.locations import BlockManagerId
from protocol.message import Message, Order
from storage.block_id import BlockId
from storage.block_table import BlockTable
from storage.outcome import Outcome


def get_peers(table: BlockTable, message: m.GetPeers) -> Outcome:
    """Every other executor; none for a manager that is not registered. `storage.replication` puts them in order."""
    asker = message.block_manager_id
    if table.manager(asker) is None:
        return Outcome(())
    return Outcome(tuple(peer for peer in table.managers if peer != asker and peer.executor_id != table.own_id))


def get_locations_multiple(table: BlockTable, message: m.GetLocationsMultipleBlockIds) -> Outcome:
    return Outcome(tuple(tuple(table.locations(cast(BlockId, block_id))) for block_id in message.block_ids))


def get_memory_status(table: BlockTable, message: m.GetMemoryStatus) -> Outcome:
    return Outcome(tuple(status.memory_status() for status in table.storage_statuses()))


def get_storage_status(table: BlockTable, message: m.GetStorageStatus) -> Outcome:
    return Outcome((*table.storage_statuses(), *table.adopted_statuses()))


def has_cached_blocks(table: BlockTable, message: m.HasCachedBlocks) -> Outcome:
    """Of cached data: broadcasts, map outputs and results tie no executor down, as in Spark."""
    return Outcome(table.holds_any(message.executor_id, lambda block_id: block_id.is_cached_data))


def get_block_status(table: BlockTable, message: m.GetBlockStatus) -> Outcome:
    """By holder, adopted copies too."""
    return Outcome(dict(table.statuses(cast(BlockId, message.block_id))))


def get_matching_block_ids(table: BlockTable, message: m.GetMatchingBlockIds) -> Outcome:
    return Outcome(tuple(sorted(table.matching(message.filter))))


QUERIES: dict[type[Message], Callable[[BlockTable, Any], Outcome]] = {
    m.GetPeers: get_peers,
    m.GetLocationsMultipleBlockIds: get_locations_multiple,
    m.GetMemoryStatus: get_memory_status,
    m.GetStorageStatus: get_storage_status,
    m.GetBlockStatus: get_block_status,
    m.GetMatchingBlockIds: get_matching_block_ids,
    m.HasCachedBlocks: has_cached_blocks,
}


def ask(holders: Sequence[BlockManagerId], order: Order, combine: Callable[[list[Any]], Outcome]) -> Outcome:
    """Give each holder the order and go on with their answers."""
    return Outcome(asks=[(holder.executor_id, order) for holder in holders], combine=combine)


def answered(answers: list[Any]) -> list[Any]:
    """The answers of those who did answer."""
    return [answer for answer in answers if not isinstance(answer, BaseException)]
