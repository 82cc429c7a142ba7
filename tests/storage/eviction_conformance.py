"""What every store that evicts by itself passes besides `store_conformance`; takes a maker of stores of so many bytes."""

from __future__ import annotations

from collections.abc import Callable

from storage.block_id import RDDBlockId
from storage.block_store import BlockStore
from storage.storage_level import StorageLevel
from tests.storage.store_conformance import put_values


def looking_does_not_keep_a_block(make_store: Callable[[int], BlockStore], level: StorageLevel) -> None:
    """The put that no longer fits evicts the block that was not *read* for longest."""
    store = _full_store(make_store, level)
    assert store.contains(RDDBlockId(0, 0))
    store.get_size(RDDBlockId(0, 0))
    result = store.put_iterator(RDDBlockId(5, 0), iter([bytes(1000)]), level)
    assert result.dropped[0] == RDDBlockId(0, 0)
    store.check()


def reading_keeps_a_block(make_store: Callable[[int], BlockStore], level: StorageLevel) -> None:
    store = _full_store(make_store, level)
    store.get_values(RDDBlockId(0, 0))
    store.get_bytes(RDDBlockId(1, 0))
    result = store.put_iterator(RDDBlockId(5, 0), iter([bytes(1000)]), level)
    assert result.dropped[0] == RDDBlockId(2, 0)
    store.check()


def _full_store(make_store: Callable[[int], BlockStore], level: StorageLevel) -> BlockStore:
    """A store that holds blocks of the RDDs 0 to 4 and has no room for a sixth block."""
    store = make_store(6000)
    for rdd in range(5):
        put_values(store, RDDBlockId(rdd, 0), [bytes(1000)], level)
    return store


EVICTING_CHECKS = [looking_does_not_keep_a_block, reading_keeps_a_block]
