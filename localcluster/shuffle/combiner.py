"""Combining values by key in a dictionary that spills to disk past a limit.

A spill writes the dictionary by hash bucket; reading back merges one bucket of all spills at a time, in a combiner of
its own that buckets by another hash when even that is too large. Follows Spark's ``ExternalAppendOnlyMap`` in
purpose. One key's combiner must fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from localcluster.rdd.partitioner import portable_hash
from localcluster.shuffle.aggregator import Aggregator, stop_iteration_error
from localcluster.shuffle.spill import SAMPLE_EVERY, SizeGauge, SpillFile
from storage import serializer
from storage.block_manager import BlockManager

FANOUT = 16  # buckets of a spill
MAX_LEVEL = 8  # of buckets within buckets; beyond it the keys collide and memory has to do


class Combiner:
    """Made by `of_values` or `of_combiners`. A context manager: leaving it, like `close`, removes the spill files."""

    def __init__(
        self,
        create: Callable[[Any], Any] | None,
        merge: Callable[[Any, Any], Any],
        merge_combiners: Callable[[Any, Any], Any],
        memory_limit: int,
        blocks: BlockManager,
        level: int = 0,
    ) -> None:
        self._create = create  # None: the records' values are combiners already
        self._merge = merge
        self._merge_combiners = merge_combiners
        self._limit = memory_limit
        self._blocks = blocks
        self._level = level
        self._gauge = SizeGauge()
        self._combined: dict[Any, Any] = {}
        self._spills: list[SpillFile] = []

    @classmethod
    def of_values(cls, aggregator: Aggregator, memory_limit: int, blocks: BlockManager) -> Combiner:
        """Combines ``(key, value)`` records."""
        return cls(aggregator.createCombiner, aggregator.mergeValue, aggregator.mergeCombiners, memory_limit, blocks)

    @classmethod
    def of_combiners(cls, aggregator: Aggregator, memory_limit: int, blocks: BlockManager, level: int = 0) -> Combiner:
        """Combines ``(key, combiner)`` records."""
        return cls(None, aggregator.mergeCombiners, aggregator.mergeCombiners, memory_limit, blocks, level)

    def add_all(self, records: Iterable[tuple[Any, Any]]) -> None:
        """Raises what ``records`` or the functions raise, TypeError for an unhashable key, OSError when the disk is
        full.
        """
        try:
            self._add(records)
        except StopIteration as error:
            raise stop_iteration_error(error) from error

    def _add(self, records: Iterable[tuple[Any, Any]]) -> None:
        combined, create, merge = self._combined, self._create, self._merge
        next_sample = 1
        for gathered, (key, value) in enumerate(records, 1):
            if key in combined:
                combined[key] = merge(combined[key], value)
            else:
                combined[key] = value if create is None else create(value)
            if gathered >= next_sample:
                next_sample = gathered + min(gathered, SAMPLE_EVERY)
                self._gauge.sample((key, combined[key]))
                if self._gauge.size_of(len(combined)) > self._limit and len(combined) > 1 and self._level < MAX_LEVEL:
                    self._spill()

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Every key once, with its combiner. In order of first appearance unless something was spilled."""
        if not self._spills:
            return iter(self._combined.items())
        self._spill()
        return self._merged()

    def _merged(self) -> Iterator[tuple[Any, Any]]:
        merge = self._merge_combiners
        for bucket in range(FANOUT):
            with Combiner(None, merge, merge, self._limit, self._blocks, self._level + 1) as part:
                for spill in self._spills:
                    part.add_all(spill.records(bucket))
                yield from part.items()

    def _spill(self) -> None:
        buckets: list[list[tuple[Any, Any]]] = [[] for _ in range(FANOUT)]
        for key, value in self._combined.items():
            # The level salts the hash: all keys of one bucket agree in the hash of the levels above.
            buckets[hash((portable_hash(key), self._level)) % FANOUT].append((key, value))
        self._combined.clear()
        parts = (serializer.serialize(records) if records else () for records in buckets)
        self._spills.append(SpillFile(self._blocks, parts))

    def close(self) -> None:
        """Remove the spill files. May be called again."""
        for spill in self._spills:
            spill.remove()
        self._spills = []

    def __enter__(self) -> Combiner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
