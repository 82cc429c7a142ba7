"""The rows of text files: what ``spark.read.text(paths).rdd`` is.

Files are packed into partitions as Spark's file sources do, which differs from ``textFile``: a file is cut into ranges
of a size that gives every core about one, and small files share a partition. Ranges own lines as in `text_file_rdd`.
Does not cover columns from names of directories (``year=2024``).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from localcluster.rdd.compression import is_compressed
from localcluster.rdd.file_ranges import FileRange
from localcluster.rdd.input_paths import InputFile
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from localcluster.rdd.reading import Tolerance, open_input
from localcluster.rdd.text_file_rdd import text_blocks
from localcluster.sql.row import Row, _create_row

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext

MAX_PARTITION = 128 << 20  # bytes; Spark's spark.sql.files.maxPartitionBytes
OPEN_COST = 4 << 20  # bytes that opening a file counts for; Spark's spark.sql.files.openCostInBytes
_FIELDS = ["value"]


class RowsPartition(Partition):
    """Ranges of files that are read one after the other."""

    __slots__ = ("ranges",)

    def __init__(self, index: int, ranges: list[FileRange]) -> None:
        super().__init__(index)
        self.ranges = ranges


class TextRowsRDD(RDD[Row]):
    """One `Row` with a field ``value`` for each line of ``files``, or (``whole_text``) for each file.

    ``separator`` ends lines in place of LF, CR and CRLF.
    """

    _travels = (*RDD._travels, "whole_text", "delimiter", "tolerance")

    def __init__(
        self, ctx: JobService, files: list[InputFile], whole_text: bool, separator: str | None, tolerance: Tolerance
    ) -> None:
        super().__init__(ctx)
        self.files = files
        self.whole_text = whole_text
        self.delimiter = None if separator is None else separator.encode("utf-8")
        self.tolerance = tolerance

    def _make_partitions(self) -> list[Partition]:
        files = {path: size for path, size in self.files if size}
        per_core = sum(size + OPEN_COST for size in files.values()) // self.ctx.defaultParallelism
        limit = min(MAX_PARTITION, max(OPEN_COST, per_core))
        ranges = [
            FileRange(0, path, start, min(step, size - start))
            for path, size in files.items()
            for step in [size if self.whole_text or is_compressed(path) else limit]
            for start in range(0, size, step)
        ]
        return [RowsPartition(index, group) for index, group in enumerate(_packed(ranges, limit))]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Row]:
        assert isinstance(partition, RowsPartition)
        blocks = chain.from_iterable(map(self._blocks, partition.ranges))
        return (_create_row(_FIELDS, (line,)) for line in chain.from_iterable(blocks))

    def _blocks(self, part: FileRange) -> Iterator[list[str]]:
        if not self.whole_text:
            return text_blocks(part, self.delimiter, self.tolerance)
        return self.tolerance.guard(map(_whole_text, [part.path]))


def _whole_text(path: str) -> list[str]:
    with open_input(path, decompress=True) as file:
        return [file.read().decode("utf-8", "replace")]


def _packed(ranges: list[FileRange], limit: int) -> Iterator[list[FileRange]]:
    """The ranges in groups of about ``limit`` bytes: largest first, and a group is closed when the next one is too
    large for it.
    """
    group: list[FileRange] = []
    filled = 0
    for part in sorted(ranges, key=lambda part: -part.length):
        if group and filled + part.length > limit:
            yield group
            group, filled = [], 0
        group.append(part)
        filled += part.length + OPEN_COST
    if group:
        yield group
