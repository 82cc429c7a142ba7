"""What the storage layer can be told: one frozen value, given to each block manager.

Covers the meaning, units and limits of the settings. Reading ``spark.…`` keys and their text is the business of
`localcluster`; Spark's key for each setting is named beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.errors import ConfigurationError
from storage.disk_block_manager import SUB_DIRECTORIES


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConf:
    """Settings of one process's storage. Raises ConfigurationError that names setting, value and what is accepted."""

    max_memory: int
    """Bytes for blocks on the heap: executor memory * spark.storage.memoryFraction * spark.storage.safetyFraction."""
    shared_memory: int
    """Bytes of shared memory that all processes of the run may take together."""
    unroll_threshold: int = 1 << 20
    """Bytes asked for before the first record of a partition is unrolled: spark.storage.unrollMemoryThreshold."""
    unroll_growth: float = 1.5
    """How many times its size a partition that outgrew its share asks for: spark.storage.unrollMemoryGrowthFactor."""
    unroll_fraction: float = 0.2
    """Share of max_memory that unrolling may take by evicting blocks: spark.storage.unrollFraction."""
    sub_directories: int = SUB_DIRECTORIES
    """Directories of block files in each local directory: spark.diskStore.subDirectories."""
    cleaner_ttl: float | None = None
    """Seconds after which blocks that no process used are dropped: spark.cleaner.ttl. None: never. Here it only has the
    process note what it uses; whoever owns the master drops the rest, by `DropUnusedBlocks`.
    """
    by_calls: bool = False
    """Write and read blocks of this process by system calls, and not through mappings: a file that is cut short at any
    moment is an error then, never a SIGBUS. For the process that must not die; it takes a third longer, and reads copy.
    """
    external_store: str | None = None
    """``package.module.Class`` of a store to use as the off-heap store: spark.externalBlockStore.blockManager."""
    external_store_options: Mapping[str, str] = field(default_factory=dict)
    """What that class is constructed with."""

    def __post_init__(self) -> None:
        _require(_is_int(self.max_memory, 0), "max_memory", self.max_memory, "a number of bytes, 0 or more")
        _require(_is_int(self.shared_memory, 0), "shared_memory", self.shared_memory, "a number of bytes, 0 or more")
        _require(
            _is_int(self.unroll_threshold, 1), "unroll_threshold", self.unroll_threshold, "a number of bytes above 0"
        )
        _require(1 < self.unroll_growth < math.inf, "unroll_growth", self.unroll_growth, "a number above 1")
        _require(0 <= self.unroll_fraction <= 1, "unroll_fraction", self.unroll_fraction, "a number from 0 to 1")
        _require(_is_int(self.sub_directories, 1), "sub_directories", self.sub_directories, "a number above 0")
        ttl = self.cleaner_ttl
        _require(ttl is None or 0 < ttl < math.inf, "cleaner_ttl", ttl, "seconds above 0, or None")
        store = self.external_store
        _require(store is None or _is_dotted(store), "external_store", store, "package.module.Class, or None")


def _require(accepted: bool, setting: str, value: object, meaning: str) -> None:
    if not accepted:
        raise ConfigurationError(f"{setting} must be {meaning}, not {value!r}")


def _is_int(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)
