"""Combining values by key in a dictionary that spills to disk past a limit.

A spill writes the dictionary by hash bucket; reading back merges one bucket of all spills at a time, in a combiner of
its own that buckets by another hash when even that is too large. Follows Spark's ``ExternalAppendOnlyMap`` in
purpose. One key's combiner must fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from localcluster.shuffle.aggregator import stop_iteration_error
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.pairs import A_PAIR, check_pair
from localcluster.shuffle.spill import SAMPLE_EVERY, Gauge, SpillFile
from storage import serializer
from storage.disk_block_manager import DiskBlockManager

FANOUT = 16  # buckets of a spill
MAX_LEVEL = 8  # of buckets within buckets; beyond it the keys collide and memory has to do


class Combiner:
    """Combines records by key, on disk when they are many.

    A context manager: leaving it, like `close`, removes the spill files.
    """

    def __init__(
        self, merge_combiners: Callable[[Any, Any], Any], gauge: Gauge, disk: DiskBlockManager, level: int = 0
    ) -> None:
        self._merge_combiners = merge_combiners
        self._gauge = gauge
        self._disk = disk
        self._level = level
        self._combined: dict[Any, Any] = {}
        self._spills: list[SpillFile] = []
        self._part: Combiner | None = None  # of the bucket that is being read
        self.spill_count = 0

    def add(
        self,
        records: Iterable[tuple[Any, Any]],
        create: Callable[[Any], Any] | None,
        merge: Callable[[Any, Any], Any],
    ) -> None:
        """Combine ``(key, value)`` records by an aggregator's ``createCombiner`` and ``mergeValue``. ``create`` None:
        the values are combiners.

        Raises what ``records`` or the functions raise, NotAPairError, TypeError for an unhashable key, OSError when the
        disk is full.
        """
        try:
            self._add(records, create, merge)
        except StopIteration as error:
            raise stop_iteration_error(error) from error

    def add_combiners(self, records: Iterable[tuple[Any, Any]]) -> None:
        """Merge ``(key, combiner)`` records; see `add`."""
        self.add(records, None, self._merge_combiners)

    def _add(
        self,
        records: Iterable[tuple[Any, Any]],
        create: Callable[[Any], Any] | None,
        merge: Callable[[Any, Any], Any],
    ) -> None:
        combined = self._combined
        gathered = 0
        next_sample = 1
        record: Any = A_PAIR
        try:
            for record in records:
                key, value = record
                if key in combined:
                    combined[key] = merge(combined[key], value)
                else:
                    combined[key] = value if create is None else create(value)
                gathered += 1
                if gathered >= next_sample:
                    next_sample = gathered + min(gathered, SAMPLE_EVERY)
                    self._gauge.sample((key, combined[key]))
                    if self._gauge.is_full(len(combined)) and len(combined) > 1 and self._level < MAX_LEVEL:
                        self.spill()
                        gathered = 0
                        next_sample = 1
        except (TypeError, ValueError) as error:
            check_pair(record, error)
            raise

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Every key once, with its combiner. In order of first appearance unless something was spilled."""
        if not self._spills:
            return iter(self._combined.items())
        self.spill()
        return self._merged()

    def _merged(self) -> Iterator[tuple[Any, Any]]:
        for bucket in range(FANOUT):
            with Combiner(self._merge_combiners, self._gauge.fresh(), self._disk, self._level + 1) as part:
                self._part = part
                for spill in self._spills:
                    part.add_combiners(spill.records(bucket))
                yield from part.items()

    def spill(self) -> None:
        """Write what is in memory to disk."""
        buckets: list[list[tuple[Any, Any]]] = [[] for _ in range(FANOUT)]
        for key, value in self._combined.items():
            # The level salts the hash: all keys of one bucket agree in the hash of the levels above.
            buckets[hash((portable_hash(key), self._level)) % FANOUT].append((key, value))
        self._combined.clear()
        parts = (serializer.serialize(records) if records else () for records in buckets)
        self._spills.append(SpillFile(self._disk.create_temp_local_block, parts))
        self.spill_count += 1
        self._gauge = self._gauge.fresh()

    def close(self) -> None:
        """Remove the spill files. May be called again."""
        for spill in self._spills:
            spill.remove()
        self._spills = []
        if self._part is not None:  # the generator in `_merged` may live on, in the traceback of a failed task
            self._part.close()

    def __enter__(self) -> Combiner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
