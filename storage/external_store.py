"""Plugging in a store of the user's own, named in the configuration.

Covers finding the class, making the store, and using one that others may use at the same time. The class is a
`BlockStore`, is constructed with one argument, the mapping of options from the configuration, and passes
`tests/storage/store_conformance.py`; `tests/storage/redis_store.py` is an example. Follows Spark's
``ExternalBlockStore`` with its pluggable block manager.

Every process makes a store of that class, and most such stores lead to the same place: what one process put there all
can read, also when that process is dead, or its whole run. Ids of RDDs begin anew with each run, so a run's blocks go
by names that no other run has; and within a run nothing is read but what the block master knows of.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from protocol.errors import BlockPutError, ConfigurationError
from protocol.locations import ExternalLocation
from storage.block_id import BlockId, ExternalBlockId
from storage.block_store import BlockStore, PutResult
from storage.managed_buffer import ManagedBuffer
from storage.off_heap_store import OffHeapStore
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)

KEY = "localcluster.externalBlockStore.class"


def load_external_store(class_name: str, options: Mapping[str, str]) -> BlockStore:
    """Make the store of class ``package.module.Class``. What its constructor raises passes unchanged.

    Raises ConfigurationError when there is no such class, or it is not a complete BlockStore.
    """
    module_name, _, name = class_name.rpartition(".")
    if not module_name or not name:
        raise ConfigurationError(f"{KEY} must be package.module.Class, not {class_name!r}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module's own code raises
        raise ConfigurationError(f"{KEY} is {class_name!r}, but {module_name} cannot be imported: {error}") from error
    found = getattr(module, name, None)
    if not inspect.isclass(found) or not issubclass(found, BlockStore):
        problem = f"{module_name} has no {name}" if found is None else f"{name} is not a BlockStore"
        raise ConfigurationError(f"{KEY} is {class_name!r}, but {problem}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ConfigurationError(f"{KEY} is {class_name!r}, which does not define {missing}")
    make: Callable[[Mapping[str, str]], BlockStore] = found
    return make(options)


class ExternalStore(OffHeapStore):
    """The blocks of one run in a store of the program's own. Thread-safe as the store is. ``on_removed(block_id)`` is
    called when a block was removed.
    """

    def __init__(
        self, store: BlockStore, run: str, on_removed: Callable[[BlockId], object] = lambda block_id: None
    ) -> None:
        self.store = store
        self._run = run
        self._on_removed = on_removed
        self._mine: set[BlockId] = set()  # what this process looks after

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        return self._put(block_id, lambda key: self.store.put_bytes(key, data, level))

    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        return self._put(block_id, lambda key: self.store.put_iterator(key, values, level))

    def _put(self, block_id: BlockId, put: Callable[[BlockId], PutResult]) -> PutResult:
        try:
            result = put(self._key(block_id))
        except (BlockPutError, FileExistsError):  # the latter is not what we ask of a store, but plain enough
            if not self._has(block_id):
                raise
            result = PutResult(True)  # another process of the run was quicker, or died before it could tell
        if result.stored:
            self._mine.add(block_id)
        return result

    def _has(self, block_id: BlockId) -> bool:
        with contextlib.suppress(Exception):  # whatever the store raises when it cannot be reached
            return self.contains(block_id)
        return False

    def adopt(self, block_id: BlockId) -> bool:
        found = self._has(block_id)
        if found:
            self._mine.add(block_id)
        return found

    def location(self, block_id: BlockId) -> ExternalLocation:
        """Without a look whether the block is here, which may be a round trip."""
        return ExternalLocation()

    def get_size(self, block_id: BlockId) -> int:
        return self.store.get_size(self._key(block_id))

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        return self.store.get_bytes(self._key(block_id))

    get_of_others = get_bytes

    def get_values(self, block_id: BlockId) -> Iterator[Any] | None:
        return self.store.get_values(self._key(block_id))

    def remove(self, block_id: BlockId) -> bool:
        removed = self.store.remove(self._key(block_id))
        self._mine.discard(block_id)
        if removed:
            self._on_removed(block_id)
        return removed

    def contains(self, block_id: BlockId) -> bool:
        return self.store.contains(self._key(block_id))

    def clear(self) -> None:
        """Drop the blocks that this process looks after, not those of others."""
        for block_id in list(self._mine):
            self.remove(block_id)

    def close(self) -> None:
        """Also drops the blocks, as far as the store can be reached."""
        try:
            self.clear()
            self.store.close()
        except Exception as error:
            log.warning("blocks named %s.* may be left in the external store: %r", self._run, error)

    def check(self) -> None:
        self.store.check()

    def _key(self, block_id: BlockId) -> BlockId:
        return ExternalBlockId(self._run, block_id)
