"""``binaryRecords``: files that are nothing but records of one length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localcluster.rdd.compression import is_compressed
from localcluster.rdd.file_ranges import LARGEST, FileRange, split_files
from localcluster.rdd.input_files_rdd import InputFilesRDD
from localcluster.rdd.input_paths import file_uri
from localcluster.rdd.partition import Partition
from localcluster.rdd.reading import open_input
from protocol.errors import DamagedFileError

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext


class BinaryRecordsRDD(InputFilesRDD):
    """Records of ``length`` bytes. A file is cut every 32 MiB, or as the settings say, where a record ends."""

    _travels = (*InputFilesRDD._travels, "length")

    def __init__(self, ctx: JobService, path: str, length: int) -> None:
        super().__init__(ctx, path)
        self.length = length

    def _make_partitions(self) -> list[Partition]:
        most = LARGEST if self.settings.most is None else min(LARGEST, self.settings.most)
        step = max(max(self.settings.least, most) // self.length, 1) * self.length
        return [FileRange(index, *part) for index, part in enumerate(split_files(self._files(), step))]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[bytes]:
        assert isinstance(partition, FileRange)
        return self.settings.tolerance.guard(_records(partition, self.length))


def _records(partition: FileRange, length: int) -> Iterator[bytes]:
    if is_compressed(partition.path):
        raise DamagedFileError(f"{file_uri(partition.path)}: records of compressed files cannot be read")
    with open_input(partition.path) as file:
        file.seek(partition.start)
        for _ in range(0, partition.length, length):
            record = file.read(length)
            if len(record) < length:
                raise DamagedFileError(
                    f"{file_uri(partition.path)} ends within a record: {len(record)} of {length} bytes"
                )
            yield record
