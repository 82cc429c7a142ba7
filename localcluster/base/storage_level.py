"""`StorageLevel` as programs know it: PySpark's names and flags.

The rules of the flags are those of `storage.storage_level`, where the names have Scala's meaning. PySpark's differ in
one point: records are kept as serialised bytes, so a task that changes a record which it read from the cache does not
change the cache.
"""

from __future__ import annotations

from typing import Any, ClassVar

from storage import storage_level


class StorageLevel(storage_level.StorageLevel):
    """Where an RDD's partitions are kept: on disk, in memory, in shared memory; in which form; on how many executors.

    >>> StorageLevel.MEMORY_AND_DISK
    StorageLevel(True, True, False, False, 1)
    >>> print(StorageLevel.OFF_HEAP)
    Disk Memory OffHeap Serialized 1x Replicated

    ``deserialized`` keeps Python objects as they are, which only `MEMORY_AND_DISK_DESER` does: fastest to read, and
    shared by all tasks of an executor. Raises ConfigurationError, a ValueError, for flags that contradict each other.
    """

    __slots__ = ()

    NONE: ClassVar[StorageLevel]
    DISK_ONLY: ClassVar[StorageLevel]
    DISK_ONLY_2: ClassVar[StorageLevel]
    DISK_ONLY_3: ClassVar[StorageLevel]
    MEMORY_ONLY: ClassVar[StorageLevel]
    MEMORY_ONLY_2: ClassVar[StorageLevel]
    MEMORY_ONLY_SER: ClassVar[StorageLevel]
    MEMORY_ONLY_SER_2: ClassVar[StorageLevel]
    MEMORY_AND_DISK: ClassVar[StorageLevel]
    MEMORY_AND_DISK_2: ClassVar[StorageLevel]
    MEMORY_AND_DISK_SER: ClassVar[StorageLevel]
    MEMORY_AND_DISK_SER_2: ClassVar[StorageLevel]
    MEMORY_AND_DISK_DESER: ClassVar[StorageLevel]
    OFF_HEAP: ClassVar[StorageLevel]

    def __init__(
        self, useDisk: bool, useMemory: bool, useOffHeap: bool, deserialized: bool, replication: int = 1
    ) -> None:
        super().__init__(useDisk, useMemory, useOffHeap, deserialized, replication)

    def __eq__(self, other: object) -> bool:
        """The same flags: also those of a level of the storage layer."""
        return isinstance(other, storage_level.StorageLevel) and _flags(self) == _flags(other)

    def __hash__(self) -> int:
        return hash(_flags(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return StorageLevel, _flags(self)


def _flags(level: storage_level.StorageLevel) -> tuple[Any, ...]:
    return level.use_disk, level.use_memory, level.use_off_heap, level.deserialized, level.replication


StorageLevel.NONE = StorageLevel(False, False, False, False)
StorageLevel.DISK_ONLY = StorageLevel(True, False, False, False)
StorageLevel.DISK_ONLY_2 = StorageLevel(True, False, False, False, 2)
StorageLevel.DISK_ONLY_3 = StorageLevel(True, False, False, False, 3)
StorageLevel.MEMORY_ONLY = StorageLevel.MEMORY_ONLY_SER = StorageLevel(False, True, False, False)
StorageLevel.MEMORY_ONLY_2 = StorageLevel.MEMORY_ONLY_SER_2 = StorageLevel(False, True, False, False, 2)
StorageLevel.MEMORY_AND_DISK = StorageLevel.MEMORY_AND_DISK_SER = StorageLevel(True, True, False, False)
StorageLevel.MEMORY_AND_DISK_2 = StorageLevel.MEMORY_AND_DISK_SER_2 = StorageLevel(True, True, False, False, 2)
StorageLevel.MEMORY_AND_DISK_DESER = StorageLevel(True, True, False, True)
StorageLevel.OFF_HEAP = StorageLevel(True, True, True, False)
