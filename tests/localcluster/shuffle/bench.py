"""What the tests of shuffles work on: two block managers, shuffles without a lineage, spill files counted."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.map_outputs import MapOutputs
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.partitioner import Partitioner
from localcluster.shuffle.shuffle import Shuffle
from protocol.cluster_messages import GetMapOutputs
from storage.local_transport import LocalCluster

PLENTY = 1 << 30  # bytes: nothing is spilled
NOTHING = 0  # bytes: every sample finds too much

LISTS = Aggregator(lambda value: [value], lambda lst, value: [*lst, value], lambda a, b: a + b)
SUMS = Aggregator(lambda value: value, lambda a, b: a + b, lambda a, b: a + b)


class ShuffleBench:
    """``blocks`` is executor 1's; executor 2 reads."""

    def __init__(self, cluster: LocalCluster, directory: Path) -> None:
        self.cluster = cluster
        self.blocks = cluster.managers["1"]
        self.disk = self.blocks.disk_block_manager
        self.other = cluster.managers["2"]
        self._directory = directory
        self._ids = count()

    @property
    def spill_files(self) -> list[str]:
        return [path.name for path in self._directory.rglob("temp_*")]

    def shuffle(
        self, partitions: int, aggregator: Aggregator | None = None, map_side_combine: bool = False, func: Any = None
    ) -> Shuffle:
        return Shuffle(next(self._ids), Partitioner(partitions, func or portable_hash), aggregator, map_side_combine)


class Driver:
    """Stands for the driver's table of map outputs. ``asked`` counts the questions."""

    def __init__(self) -> None:
        self.tables: dict[int, list[MapStatus | None]] = {}
        self.asked = 0

    def ask(self, message: GetMapOutputs) -> bytes | None:
        self.asked += 1
        table = self.tables.get(message.shuffle_id)
        return None if table is None else pickle.dumps([None if row is None else tuple(row) for row in table])


class Round:
    """Writes map outputs at executor 1 and reads reduce partitions at executor 2."""

    def __init__(self, bench: ShuffleBench, kind: type[ShuffleManager], limit: int = PLENTY) -> None:
        self.driver = Driver()
        self.writer = kind(bench.blocks, MapOutputs(self.driver.ask, bench.blocks), limit)
        self.reader = kind(bench.other, MapOutputs(self.driver.ask, bench.other), limit)
        self._map_ids = count()

    def write(self, shuffle: Shuffle, *maps: Iterable[Any]) -> None:
        self.driver.tables[shuffle.id] = [self.write_one(shuffle, records) for records in maps]

    def write_one(self, shuffle: Shuffle, records: Iterable[Any]) -> MapStatus:
        map_id = next(self._map_ids)
        return MapStatus("1", map_id, self.writer.write(shuffle, map_id, iter(records)))

    def read(self, shuffle: Shuffle, partition: int) -> list[Any]:
        with Task() as task:
            return list(self.reader.read(shuffle, partition, task.on_completion))

    def read_all(self, shuffle: Shuffle) -> list[list[Any]]:
        return [self.read(shuffle, part) for part in range(shuffle.partitioner.numPartitions)]


class Task(ExitStack):
    """What a reducer needs of its task: an end."""

    def on_completion(self, callback: Callable[[Any], None]) -> None:
        self.callback(callback, self)
