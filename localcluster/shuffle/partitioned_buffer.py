"""The map side's gathering of records by reduce partition, on the heap and, past a limit, in spill files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from localcluster.shuffle.pairs import A_PAIR, check_pair
from localcluster.shuffle.partitioner import Partitioner
from localcluster.shuffle.spill import SAMPLE_EVERY, SizeGauge, SpillFile
from storage import serializer
from storage.block_manager import BlockManager
from storage.block_store import BytesLike


class PartitionedBuffer:
    """Records in the order they came, by partition. A context manager: leaving it removes the spill files."""

    def __init__(self, num_partitions: int, memory_limit: int, blocks: BlockManager) -> None:
        self.num_partitions = num_partitions
        self._blocks = blocks
        self._gauge = SizeGauge(memory_limit)
        self._parts: list[list[Any]] = [[] for _ in range(num_partitions)]
        self._spills: list[SpillFile] = []

    def add_all(self, records: Iterable[tuple[Any, Any]], partitioner: Partitioner) -> None:
        """Raises what ``records`` or the partition function raises, NotAPairError, TypeError for a partition that is no
        integer, and OSError when spilling finds the disk full.
        """
        func, modulus = partitioner.partitionFunc, self.num_partitions
        appenders = [part.append for part in self._parts]
        gathered = 0
        next_sample = 1
        record: Any = A_PAIR
        try:
            for record in records:
                key, value = record
                if type(record) is not tuple:
                    record = (key, value)  # pairs of any kind arrive as tuples, as in PySpark
                appenders[func(key) % modulus](record)
                gathered += 1
                if gathered >= next_sample:
                    next_sample = gathered + min(gathered, SAMPLE_EVERY)
                    self._gauge.sample(record)
                    if self._gauge.is_full(gathered):
                        self._spill()
                        gathered = 0
                        next_sample = 1
        except (TypeError, ValueError) as error:
            check_pair(record, error)
            raise

    def chunks(self, part: int) -> Iterator[BytesLike]:
        """The serialised records of one partition, spilled ones first; nothing when it is empty."""
        for spill in self._spills:
            view = spill.part(part)
            if len(view):
                yield view
        if self._parts[part]:
            yield from serializer.serialize(self._parts[part])

    def _spill(self) -> None:
        parts = (serializer.serialize(records) if records else () for records in self._parts)
        self._spills.append(SpillFile(self._blocks.disk_block_manager.create_temp_shuffle_block, parts))
        for records in self._parts:
            records.clear()  # in place: the appenders are bound to these lists

    def __enter__(self) -> PartitionedBuffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spill in self._spills:
            spill.remove()
