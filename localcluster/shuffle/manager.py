"""Writing and reading shuffles: what every kind of shuffle shares, and the choice between the kinds.

A map task writes its records, by reduce partition, as blocks in shared memory; a reducer maps the parts it needs,
having fetched the table of map outputs once per executor. The kinds differ only in how the parts are laid out:
``sort_shuffle`` (one block with an index, the default) and ``hash_shuffle`` (a block per reduce partition). Follows
Spark's ``ShuffleManager``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

from localcluster.shuffle.combiner import Combiner
from localcluster.shuffle.map_outputs import MapOutputs
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.partitioned_buffer import PartitionedBuffer
from localcluster.shuffle.shuffle import Shuffle
from localcluster.shuffle.sorter import Sorter
from localcluster.shuffle.spill import SizeGauge
from protocol import sites
from protocol.errors import CorruptBlockError, FetchFailedError, StaleLocationError
from protocol.locations import SharedLocation
from storage import serializer
from storage.block_id import BlockId
from storage.block_manager import BlockManager
from storage.managed_buffer import ManagedBuffer

Record: TypeAlias = tuple[Any, Any]
OnCompletion: TypeAlias = Callable[[Callable[[Any], None]], None]
"""Takes a callback, and calls it, with one argument, when the task ends."""


class ShuffleManager(ABC):
    """Writes and reads map outputs.

    ``memory_limit``: bytes that one task may gather on its heap before it spills to disk.
    """

    def __init__(self, blocks: BlockManager, outputs: MapOutputs, memory_limit: int) -> None:
        self.blocks = blocks
        self.outputs = outputs
        self._memory_limit = memory_limit

    # --- the map side ---

    def write(self, shuffle: Shuffle, map_id: int, records: Iterator[Record]) -> tuple[SharedLocation | None, ...]:
        """Partition the records and store them. An exception from ``records`` leaves nothing behind."""
        if sites.armed is not None:
            sites.armed("shuffle.write", shuffle=shuffle.id)
        partitioner = shuffle.partitioner
        with PartitionedBuffer(partitioner.numPartitions, self._memory_limit, self.blocks) as parts:
            if shuffle.map_side_combine and shuffle.aggregator is not None:
                with self.combiner(shuffle.aggregator.mergeCombiners) as combiner:
                    combiner.add(records, shuffle.aggregator.createCombiner, shuffle.aggregator.mergeValue)
                    parts.add_all(combiner.items(), partitioner)
            else:
                parts.add_all(records, partitioner)
            return self.store(shuffle.id, map_id, parts)

    @abstractmethod
    def store(self, shuffle_id: int, map_id: int, parts: PartitionedBuffer) -> tuple[SharedLocation | None, ...]:
        """Lay the parts out as blocks; their locations."""

    # --- the reduce side ---

    def read(
        self, shuffle: Shuffle, partition: int, on_completion: OnCompletion, map_tasks: range | None = None
    ) -> Iterator[Record]:
        """The records of one reduce partition, combined when the shuffle has an aggregator. Of all ``map_tasks`` when
        it is None. What was spilled for it goes ``on_completion`` of the task.

        Raises FetchFailedError, also while iterating, when a map output cannot be read. It names all outputs of the
        shuffle that are missing or damaged, in parts for others too, so that one attempt repairs them all.
        """
        if sites.armed is not None:
            sites.armed("shuffle.read", shuffle=shuffle.id)
        fetched = self._fetch(shuffle.id, partition, map_tasks)
        if shuffle.aggregator is None:
            return fetched
        combiner = self.combiner(shuffle.aggregator.mergeCombiners)
        on_completion(lambda _: combiner.close())
        if shuffle.map_side_combine:
            combiner.add_combiners(fetched)
        else:
            combiner.add(fetched, shuffle.aggregator.createCombiner, shuffle.aggregator.mergeValue)
        return combiner.items()

    def _fetch(self, shuffle_id: int, partition: int, map_tasks: range | None) -> Iterator[Record]:
        table = self.outputs.table(shuffle_id)
        chosen = range(len(table)) if map_tasks is None else map_tasks
        parts = (self._read_part(shuffle_id, index, table, partition) for index in chosen)
        return chain.from_iterable(parts)

    def _read_part(
        self, shuffle_id: int, map_index: int, table: Sequence[MapStatus | None], partition: int
    ) -> Sequence[Record]:
        status = table[map_index]
        if status is None:
            raise FetchFailedError(shuffle_id, {map_index: None}, "it is being computed again")
        try:
            buffer = self.locate(shuffle_id, status, partition)
            # copy: nothing that a reducer yields may keep a map output's pages in use
            return list(serializer.deserialize(buffer.memoryview(), copy=True)) if buffer is not None else []
        except (StaleLocationError, CorruptBlockError) as error:
            missed = {
                index: each.map_id
                for index, each in enumerate(table)
                if each is not None and (not self._is_whole(shuffle_id, each) or index == map_index)
            }
            raise FetchFailedError(shuffle_id, missed, str(error)) from error

    def _is_whole(self, shuffle_id: int, status: MapStatus) -> bool:
        """Whether all bytes of a map output are as they were written."""
        whole = True
        block_ids = self.block_ids(shuffle_id, status.map_id, status.blocks)
        for block_id, location in zip(block_ids, status.blocks, strict=True):
            if location is None:
                continue
            try:
                serializer.check(self.blocks.read_location(location).memoryview())
            except StaleLocationError:
                whole = False
            except CorruptBlockError:
                whole = False
                self.blocks.master.report_corrupt_block(block_id, status.executor_id, location)
        return whole

    # --- for tasks on either side ---

    def combiner(self, merge_combiners: Callable[[Any, Any], Any]) -> Combiner:
        """A combiner that spills at the limit. Who makes it closes it."""
        return Combiner(merge_combiners, SizeGauge(self._memory_limit), self.blocks.disk_block_manager)

    def sort(self, records: Iterable[Any], key: Callable[[Any], Any] | None, reverse: bool) -> Iterator[Any]:
        """As `sorted`, spilling at the limit; see `Sorter.sort`."""
        return Sorter(key, reverse, SizeGauge(self._memory_limit)).sort(records, self.blocks.disk_block_manager)

    # --- the layout ---

    @staticmethod
    @abstractmethod
    def block_ids(shuffle_id: int, map_id: int, blocks: Sequence[SharedLocation | None]) -> list[BlockId]:
        """Names of the blocks of one map output, beside their locations."""

    @abstractmethod
    def locate(self, shuffle_id: int, status: MapStatus, partition: int) -> ManagedBuffer | None:
        """The bytes of one reduce partition in one map output; None when it has no records."""
