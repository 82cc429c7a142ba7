"""Which partition a key belongs to: `Partitioner`, and the hash that gives the same answer in every process.

Does not cover range partitioning, which is `sorting.py`'s partition function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import Any


def portable_hash(x: Hashable) -> int:
    """Hash of a key, the same in all processes of a run and the same as PySpark's ``portable_hash``.

    Differs from `hash` for None (whose hash is an address before Python 3.12) and so for tuples, which may hold it.
    Strings and bytes agree between processes only where hash randomisation is off, which is so in executors.

    Raises:
        TypeError: the key is not hashable.

    >>> portable_hash((None, 1)) & 0xFFFFFFFF
    219750521
    """
    if x is None:
        return 0
    if isinstance(x, tuple):
        result = 0x345678
        for item in x:
            result = ((result ^ portable_hash(item)) * 1000003) & sys.maxsize
        result ^= len(x)
        return -2 if result == -1 else result
    return hash(x)


def hashes_like_executors(key: object) -> bool:
    """Whether `portable_hash` gives for this key, in this process, what it gives in executors.

    Executors run with PYTHONHASHSEED=0; the driver of library mode may not, and then only numbers and None hash alike.
    """
    if sys.flags.hash_randomization == 0 or key is None or type(key) in (bool, int, float, complex):
        return True
    return type(key) is tuple and all(map(hashes_like_executors, key))


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
