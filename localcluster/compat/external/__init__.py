"""PySpark's ``shuffle`` module: collections that go to disk when the process uses more memory than it should.

For programs written against that module. Our own shuffles use the classes of `localcluster.shuffle`, on which these
are built, and measure what they gather instead of the process. ``MemoryBytesSpilled`` and ``DiskBytesSpilled`` are
counts of this process.
"""

from typing import Any

from localcluster.compat.external.group_by_key import ExternalList, ExternalListOfList, GroupByKey
from localcluster.compat.external.merger import ExternalGroupBy, ExternalMerger, Merger, SimpleAggregator
from localcluster.compat.external.process_memory import get_used_memory
from localcluster.compat.external.sorter import ExternalSorter
from localcluster.shuffle.aggregator import Aggregator

__all__ = [
    "Aggregator",
    "ExternalGroupBy",
    "ExternalList",
    "ExternalListOfList",
    "ExternalMerger",
    "ExternalSorter",
    "GroupByKey",
    "Merger",
    "SimpleAggregator",
    "get_used_memory",
]


def __getattr__(name: str) -> Any:
    from localcluster.compat.external import process_memory
    from localcluster.shuffle import spill

    if name == "MemoryBytesSpilled":
        return process_memory.memory_bytes_spilled
    if name == "DiskBytesSpilled":
        return spill.disk_bytes_spilled
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
