"""``pickleFile``: the records of files in the format of `pickle_files`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localcluster.rdd.file_ranges import FileRange, file_ranges
from localcluster.rdd.input_files_rdd import InputFilesRDD
from localcluster.rdd.partition import Partition
from localcluster.rdd.pickle_files import read_pickles

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext

SMALLEST_RANGE = 100 << 10  # bytes; Hadoop cuts its SequenceFiles into no smaller ranges


class PickleFileRDD(InputFilesRDD):
    """The records of the pickle files at ``path``."""

    def __init__(self, ctx: JobService, path: str, min_partitions: int) -> None:
        super().__init__(ctx, path)
        self.min_partitions = min_partitions

    def _make_partitions(self) -> list[Partition]:
        return list(file_ranges(self._files(), self.min_partitions, max(SMALLEST_RANGE, self.settings.least)))

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, FileRange)
        return self.settings.tolerance.guard(read_pickles(partition.path, partition.start, partition.length))
