"""Sorting more records than memory may hold: sorted runs in a spill file, merged as they are read.

The order is that of `sorted`: stable, by nothing but ``<``. Follows Spark's ``ExternalSorter`` in purpose; placing
records by partition is `partitioned_buffer`'s business.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import cmp_to_key, partial
from itertools import islice
from typing import Any

from localcluster.shuffle.spill import SAMPLE_EVERY, Gauge, SpillFile
from storage import serializer
from storage.block_store import BytesLike
from storage.disk_block_manager import DiskBlockManager


class Sorter:
    """One sort. ``key`` and ``reverse`` are those of `sorted`, ``gauge`` says when a run is long enough."""

    def __init__(self, key: Callable[[Any], Any] | None, reverse: bool, gauge: Gauge) -> None:
        self._key = key
        self._reverse = reverse
        self._gauge = gauge
        self._run: list[Any] = []

    def sort(self, records: Iterable[Any], disk: DiskBlockManager) -> Iterator[Any]:
        """The records in order. All have been read when this returns, and no file has a name any more.

        Raises what ``records``, ``key`` and comparisons raise; SerializationError and OSError when spilling fails.
        """
        source = iter(records)
        if not self._fill(source):
            self._sort_run()
            return iter(self._run)
        spill = SpillFile(disk.create_temp_local_block, self._spilled_runs(source))
        try:
            parts = spill.parts()
        finally:
            spill.remove()
        self._sort_run()
        runs = [serializer.deserialize_stream(part) for part in parts]
        return heapq.merge(*runs, self._run, key=self._merge_key(), reverse=self._reverse)

    def _fill(self, source: Iterator[Any]) -> bool:
        """Whether memory was full before the records ended."""
        run = self._run
        self._gauge = self._gauge.fresh()
        while True:
            wanted = min(len(run), SAMPLE_EVERY) or 1
            before = len(run)
            run.extend(islice(source, wanted))
            if len(run) < before + wanted:
                return False
            self._gauge.sample(run[-1])
            if self._gauge.is_full(len(run)):
                return True

    def _spilled_runs(self, source: Iterator[Any]) -> Iterator[list[BytesLike]]:
        """Every run but the last, serialised."""
        full = True
        while full:
            self._sort_run()
            yield serializer.serialize(self._run)
            self._run.clear()
            full = self._fill(source)

    def _sort_run(self) -> None:
        self._run.sort(key=self._key, reverse=self._reverse)

    def _merge_key(self) -> Callable[[Any], Any]:
        """`heapq.merge` takes two keys for equal by ``==``, which keys that can be sorted need not have."""
        return _Comparable if self._key is None else partial(_comparable, self._key)


def _compare(a: Any, b: Any) -> int:
    if a < b:
        return -1
    return 1 if b < a else 0


_Comparable = cmp_to_key(_compare)


def _comparable(key: Callable[[Any], Any], record: Any) -> Any:
    return _Comparable(key(record))
