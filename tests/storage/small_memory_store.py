"""Memory stores of 12 MB and the blocks that their tests put: what the tests of unrolling and of eviction share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.block_id import BroadcastBlockId
from storage.conf import StorageConf
from storage.memory_store import MemoryStore
from storage.storage_level import StorageLevel

VALUES = StorageLevel.MEMORY_ONLY
BYTES = StorageLevel.MEMORY_ONLY_SER
BOTH = pytest.mark.parametrize("level", [VALUES, BYTES], ids=["values", "bytes"])

KB, MB = 10**3, 10**6
SMALL = [bytes([number]) * (100 * KB) for number in range(50)]  # 5 MB and a little in either form
BIG = [bytes([number]) * MB for number in range(40)]
B1, B2, B3, B4 = (BroadcastBlockId(number) for number in range(1, 5))  # blocks of no RDD


def conf(max_memory: int, **settings: Any) -> StorageConf:
    """A store of 12 MB takes two of SMALL and no third one."""
    defaults = {"unroll_fraction": 0.4, "unroll_threshold": 512 * KB}
    return StorageConf(max_memory=max_memory, shared_memory=0, **{**defaults, **settings})


def checked_stores() -> Iterator[Callable[..., MemoryStore]]:
    """Body of a fixture: gives a maker of stores, each of which is audited in the teardown."""
    made: list[MemoryStore] = []

    def make(max_memory: int = 12 * MB, can_evict: Any = None, drop: Any = None, **settings: Any) -> MemoryStore:
        callbacks = {"can_evict": can_evict, "drop": drop}
        given = {name: callback for name, callback in callbacks.items() if callback is not None}
        made.append(MemoryStore(conf(max_memory, **settings), **given))
        return made[-1]

    yield make
    for store in made:
        store.check()


def unroll_memory(store: MemoryStore) -> int:
    return store.statistics().unroll_memory
