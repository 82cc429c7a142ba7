"""Which partition a key belongs to: `Partitioner`.

Does not cover range partitioning, which is `sorting.py`'s partition function, nor hashes (`hashing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Partitioner:
    """Maps a key to a partition number: ``partitionFunc(key) % numPartitions``.

    Two partitioners are equal when both parts are, so RDDs partitioned by equal ones can be joined without a shuffle.
    """

    __slots__ = ("numPartitions", "partitionFunc")

    def __init__(self, numPartitions: int, partitionFunc: Callable[[Any], int]) -> None:
        self.numPartitions = numPartitions
        self.partitionFunc = partitionFunc

    def __call__(self, k: Any) -> int:
        return self.partitionFunc(k) % self.numPartitions

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Partitioner)
            and self.numPartitions == other.numPartitions
            and self.partitionFunc == other.partitionFunc
        )

    def __hash__(self) -> int:
        return hash((self.numPartitions, self.partitionFunc))
