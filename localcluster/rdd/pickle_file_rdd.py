"""``pickleFile``: the records of files in the format of `pickle_files`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localcluster.rdd.file_ranges import FileRange, file_ranges
from localcluster.rdd.input_paths import input_files
from localcluster.rdd.partition import Partition
from localcluster.rdd.pickle_files import read_pickles
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.task_context import TaskContext

SMALLEST_RANGE = 100 << 10  # bytes; Hadoop cuts its SequenceFiles into no smaller ranges


class PickleFileRDD(RDD[Any]):
    """The records of the pickle files at ``path``."""

    kind = "MapPartitionsRDD"

    def __init__(self, ctx: SparkContext, path: str, min_partitions: int) -> None:
        super().__init__(ctx)
        self.path = path
        self.min_partitions = min_partitions

    def _make_partitions(self) -> list[Partition]:
        return list(file_ranges(input_files(self.path), self.min_partitions, SMALLEST_RANGE))

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, FileRange)
        return read_pickles(partition.path, partition.start, partition.length)
