"""Storage levels: where a block may live, in which form, and on how many executors.

Covers the flags, their rules and Spark's named levels. The flags of the names are those of Scala's Spark
(``MEMORY_ONLY`` is deserialised), because here, unlike in PySpark, the values of a block can stay Python objects;
``localcluster.base.storage_level`` has PySpark's names.

What a level leads to is decided in few places, and a new rule belongs in one of them:
- which stores take a block, in which order, which one a read asks, what is moved, and what becomes of a block that is
  evicted or removed: `tiers`;
- in which form the heap keeps a block: `memory_store`;
- how many copies there are: `block_manager` asks for them, `block_sharing` has them made, `master_replicas`
  has those made again that were lost, `replication` chooses where;
- which block goes first when there is no room: `lru_blocks`, for both memory stores, whatever the level. A rule that
  looks at the level is a property here, which `eviction` asks of a block's level.

A new name is in three lists here, and in `localcluster.base.storage_level` if PySpark has it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from protocol.errors import ConfigurationError

MAX_REPLICATION = 39  # Spark: "less than 40"


@dataclass(frozen=True, slots=True, repr=False)
class StorageLevel:
    """Spark's ``StorageLevel``; a value. Raises ConfigurationError for flags that contradict each other.

    ``use_off_heap`` means bytes in shared memory, so it excludes ``deserialized``. A level with neither memory nor disk
    can be made (``NONE`` is one) but is not valid for storing.
    """

    use_disk: bool
    use_memory: bool
    use_off_heap: bool
    deserialized: bool
    replication: int = 1

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

    def __post_init__(self) -> None:
        if not isinstance(self.replication, int) or not 1 <= self.replication <= MAX_REPLICATION:
            raise ConfigurationError(f"replication must be 1 to {MAX_REPLICATION}, not {self.replication!r}")
        if self.use_off_heap and self.deserialized:
            raise ConfigurationError("an off-heap storage level holds bytes: it cannot be deserialized")

    @classmethod
    def from_string(cls, name: str) -> StorageLevel:
        """The level that Spark gives this name, as ``"MEMORY_ONLY"``. Raises ConfigurationError."""
        if name not in _NAMED:
            raise ConfigurationError(f"no storage level is called {name!r}; there are {', '.join(_NAMED)}")
        level: StorageLevel = getattr(cls, name)
        return level

    @property
    def is_valid(self) -> bool:
        """Whether a block can be stored at this level at all."""
        return self.use_memory or self.use_disk

    @property
    def without_replicas(self) -> StorageLevel:
        """The level of each single copy."""
        return StorageLevel(self.use_disk, self.use_memory, self.use_off_heap, self.deserialized)

    @property
    def useDisk(self) -> bool:  # PySpark's name, as are the next two
        return self.use_disk

    @property
    def useMemory(self) -> bool:
        return self.use_memory

    @property
    def useOffHeap(self) -> bool:
        return self.use_off_heap

    def __reduce__(self) -> tuple[Any, ...]:
        flags = (self.use_disk, self.use_memory, self.use_off_heap, self.deserialized, self.replication)
        return StorageLevel, flags

    def __repr__(self) -> str:
        return (
            f"StorageLevel({self.use_disk}, {self.use_memory}, {self.use_off_heap}, {self.deserialized}, "
            f"{self.replication})"
        )

    def __str__(self) -> str:
        places = [
            name
            for name, used in (("Disk", self.use_disk), ("Memory", self.use_memory), ("OffHeap", self.use_off_heap))
            if used
        ]
        form = "Deserialized" if self.deserialized else "Serialized"
        return " ".join([*places, form, f"{self.replication}x Replicated"])


_NAMED = {
    "NONE": StorageLevel(False, False, False, False),
    "DISK_ONLY": StorageLevel(True, False, False, False),
    "DISK_ONLY_2": StorageLevel(True, False, False, False, 2),
    "DISK_ONLY_3": StorageLevel(True, False, False, False, 3),
    "MEMORY_ONLY": StorageLevel(False, True, False, True),
    "MEMORY_ONLY_2": StorageLevel(False, True, False, True, 2),
    "MEMORY_ONLY_SER": StorageLevel(False, True, False, False),
    "MEMORY_ONLY_SER_2": StorageLevel(False, True, False, False, 2),
    "MEMORY_AND_DISK": StorageLevel(True, True, False, True),
    "MEMORY_AND_DISK_2": StorageLevel(True, True, False, True, 2),
    "MEMORY_AND_DISK_SER": StorageLevel(True, True, False, False),
    "MEMORY_AND_DISK_SER_2": StorageLevel(True, True, False, False, 2),
    "MEMORY_AND_DISK_DESER": StorageLevel(True, True, False, True),  # PySpark's name for Scala's MEMORY_AND_DISK
    "OFF_HEAP": StorageLevel(True, True, True, False),
}

StorageLevel.NONE = _NAMED["NONE"]
StorageLevel.DISK_ONLY = _NAMED["DISK_ONLY"]
StorageLevel.DISK_ONLY_2 = _NAMED["DISK_ONLY_2"]
StorageLevel.DISK_ONLY_3 = _NAMED["DISK_ONLY_3"]
StorageLevel.MEMORY_ONLY = _NAMED["MEMORY_ONLY"]
StorageLevel.MEMORY_ONLY_2 = _NAMED["MEMORY_ONLY_2"]
StorageLevel.MEMORY_ONLY_SER = _NAMED["MEMORY_ONLY_SER"]
StorageLevel.MEMORY_ONLY_SER_2 = _NAMED["MEMORY_ONLY_SER_2"]
StorageLevel.MEMORY_AND_DISK = _NAMED["MEMORY_AND_DISK"]
StorageLevel.MEMORY_AND_DISK_2 = _NAMED["MEMORY_AND_DISK_2"]
StorageLevel.MEMORY_AND_DISK_SER = _NAMED["MEMORY_AND_DISK_SER"]
StorageLevel.MEMORY_AND_DISK_SER_2 = _NAMED["MEMORY_AND_DISK_SER_2"]
StorageLevel.MEMORY_AND_DISK_DESER = _NAMED["MEMORY_AND_DISK_DESER"]
StorageLevel.OFF_HEAP = _NAMED["OFF_HEAP"]
