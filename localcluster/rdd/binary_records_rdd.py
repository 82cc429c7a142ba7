"""``binaryRecords``: files that are nothing but records of one length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localcluster.rdd.compression import is_compressed
from localcluster.rdd.file_ranges import LARGEST, FileRange, split_files
from localcluster.rdd.input_paths import file_uri, input_files
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from protocol.errors import SparkException

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.task_context import TaskContext


class BinaryRecordsRDD(RDD[bytes]):
    """Records of ``length`` bytes. A file is cut every 32 MiB or less, where a record ends."""

    kind = "MapPartitionsRDD"

    def __init__(self, ctx: SparkContext, path: str, length: int) -> None:
        super().__init__(ctx)
        self.path = path
        self.length = length

    def _make_partitions(self) -> list[Partition]:
        step = max(LARGEST // self.length, 1) * self.length
        ranges = split_files(input_files(self.path), step)
        return [FileRange(index, *part) for index, part in enumerate(ranges)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[bytes]:
        assert isinstance(partition, FileRange)
        if is_compressed(partition.path):
            raise SparkException(f"{file_uri(partition.path)}: records of compressed files cannot be read")
        with open(partition.path, "rb") as file:
            file.seek(partition.start)
            for _ in range(0, partition.length, self.length):
                record = file.read(self.length)
                if len(record) < self.length:
                    raise SparkException(
                        f"{file_uri(partition.path)} ends within a record: {len(record)} of {self.length} bytes"
                    )
                yield record
