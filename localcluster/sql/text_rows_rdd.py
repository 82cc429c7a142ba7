"""The rows of text files: what ``spark.read.text(paths).rdd`` is.

Files are packed into partitions as Spark's file sources do, which differs from ``textFile``: a file is cut into ranges
of a size that gives every core about one, and small files share a partition. Ranges own lines as in `text_file_rdd`.
Does not cover columns from names of directories (``year=2024``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from localcluster.rdd.compression import is_compressed, open_compressed
from localcluster.rdd.file_ranges import FileRange
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from localcluster.rdd.text_file_rdd import text_lines
from localcluster.sql.row import Row, _create_row

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.task_context import TaskContext

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

    ``separator`` ends lines in place of LF, CR and CRLF; files are then not cut into ranges.
    """

    def __init__(self, ctx: SparkContext, files: list[str], whole_text: bool, separator: str | None) -> None:
        super().__init__(ctx)
        self.files = files
        self.whole_text = whole_text
        self.separator = separator

    def _make_partitions(self) -> list[Partition]:
        sizes = {path: size for path in self.files if (size := os.path.getsize(path))}
        per_core = sum(size + OPEN_COST for size in sizes.values()) // self.ctx.defaultParallelism
        limit = min(MAX_PARTITION, max(OPEN_COST, per_core))
        in_one_piece = self.whole_text or self.separator is not None
        ranges = [
            FileRange(0, path, start, min(step, size - start))
            for path, size in sizes.items()
            for step in [size if in_one_piece or is_compressed(path) else limit]
            for start in range(0, size, step)
        ]
        return [RowsPartition(index, group) for index, group in enumerate(_packed(ranges, limit))]

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"files": []}  # the partitions say it

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Row]:
        assert isinstance(partition, RowsPartition)
        lines = chain.from_iterable(map(self._values, partition.ranges))
        return (_create_row(_FIELDS, (line,)) for line in lines)

    def _values(self, part: FileRange) -> Iterator[str]:
        if not self.whole_text and self.separator is None:
            return text_lines(part)
        with open_compressed(part.path) if is_compressed(part.path) else open(part.path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        return iter([text] if self.whole_text else text.removesuffix(self.separator or "").split(self.separator))


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
