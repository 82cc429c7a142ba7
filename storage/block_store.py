"""The one interface of every store: memory, disk, shared memory, and a user's own.

Covers the contract only; `tests/storage/store_conformance.py` is the suite that every implementation passes. Follows
Spark's ``BlockStore`` (1.x). A store knows blocks, bytes and its own limits; levels, replication and the master are
the block manager's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from protocol.locations import Location
from storage.block_id import BlockId
from storage.managed_buffer import ManagedBuffer
from storage.own_values import own_values
from storage.storage_level import StorageLevel

BytesLike: TypeAlias = bytes | bytearray | memoryview


@dataclass(slots=True)
class PutResult:
    """What became of a put.

    ``stored`` False means the block did not fit and the store holds nothing of it. ``leftover`` then yields every
    value of the put's iterator, the ones already consumed first, so that the caller can use or store them elsewhere.
    ``dropped`` names the blocks that the put evicted. ``size`` is in bytes (estimated for deserialised values).
    """

    stored: bool
    size: int = 0
    leftover: Iterator[Any] | None = None
    dropped: list[BlockId] = field(default_factory=list)


class BlockStore(ABC):
    """Holds blocks by id. Thread-safe. A failed put leaves nothing behind."""

    @abstractmethod
    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        """Store serialised bytes. Raises BlockPutError (also when the block is here already)."""

    @abstractmethod
    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        """Store the values. An exception from the iterator propagates and leaves nothing behind."""

    @abstractmethod
    def get_size(self, block_id: BlockId) -> int:
        """Size in bytes. Raises BlockNotFoundError."""

    @abstractmethod
    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """The block's serialised bytes, or None when the block is not here."""

    def get_values(self, block_id: BlockId) -> Iterator[Any] | None:
        """The block's values, or None when the block is not here. Their reader may write into them, and nobody else
        sees that, unless they were put at a deserialised level.
        """
        data = self.get_bytes(block_id)
        return None if data is None else own_values(data)

    @abstractmethod
    def remove(self, block_id: BlockId) -> bool:
        """Drop the block; True if it was here."""

    @abstractmethod
    def contains(self, block_id: BlockId) -> bool:
        """Whether the block is here, without touching the access order."""

    @abstractmethod
    def clear(self) -> None:
        """Drop every block."""

    def location(self, block_id: BlockId) -> Location | None:
        """Where other processes find the block without this one. None: nowhere, or it is not here."""
        return None

    def close(self) -> None:  # noqa: B027 - most stores have nothing to let go of
        """The process needs the store no more: let go of connections and the like. The blocks stay."""

    def check(self) -> None:  # noqa: B027 - a store without books of its own has nothing to audit
        """Audit the store's own books against what it holds. Raises AssertionError."""
