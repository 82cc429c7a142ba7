"""The bases of every message, and what messages may assume about the storage objects that travel in them.

Covers the two directions (`Order`, `Report`) and how a message is pickled. The messages themselves are in
`protocol.block_messages` and `protocol.cluster_messages`; how they become bytes is in `protocol.wire`.
"""

from __future__ import annotations

from typing import Any, Protocol


class Message:
    """Base of all messages. Every subclass is a ``@dataclass(frozen=True, slots=True)``.

    A message pickles as its class and its field values. The state methods that dataclasses generate for frozen, slotted
    classes look the fields up anew for each object and cost twice as much in each direction (measured, Python
    3.10-3.13).
    """

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()  # each dataclass has its own: the names of its fields, in constructor order

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple([getattr(self, name) for name in self.__match_args__])


class Order(Message):
    """A message from master to slave: from the driver to an executor or to the launcher."""

    __slots__ = ()


class Report(Message):
    """A message from slave to master: from an executor or the launcher to the driver."""

    __slots__ = ()


class BlockIdLike(Protocol):
    """What messages know of a block id: hashable, named as Spark names it. ``storage.block_id`` has the real ones."""

    @property
    def name(self) -> str: ...

    def __hash__(self) -> int: ...


class StorageLevelLike(Protocol):
    """What messages know of a storage level: Spark's flags. ``storage.storage_level`` has the real one."""

    @property
    def use_disk(self) -> bool: ...

    @property
    def use_memory(self) -> bool: ...

    @property
    def use_off_heap(self) -> bool: ...

    @property
    def deserialized(self) -> bool: ...

    @property
    def replication(self) -> int: ...

    @property
    def is_valid(self) -> bool: ...
