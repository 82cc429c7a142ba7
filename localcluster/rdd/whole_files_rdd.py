"""``wholeTextFiles`` and ``binaryFiles``: pairs of a file's URI and all that it holds.

Small files share a partition, as Hadoop's CombineFileInputFormat packs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localcluster.rdd.compression import is_compressed, open_compressed
from localcluster.rdd.input_paths import file_uri, input_files
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.task_context import TaskContext

OPEN_COST = 4 << 20  # bytes that opening a binary file counts as, as in Spark
LARGEST = 128 << 20  # bytes of binary files in one partition


class FilesPartition(Partition):
    """Some files, whole."""

    __slots__ = ("paths",)

    def __init__(self, index: int, paths: list[str]) -> None:
        super().__init__(index)
        self.paths = paths


class WholeFilesRDD(RDD[Any]):
    """Files read whole. Directories in a directory are left out."""

    kind = "MapPartitionsRDD"

    def __init__(self, ctx: SparkContext, path: str, min_partitions: int) -> None:
        super().__init__(ctx)
        self.path = path
        self.min_partitions = min_partitions
        self.setName(path)

    def _limit(self, sizes: list[int]) -> int:
        """Bytes from which on a partition takes no further file; 0: none."""
        raise NotImplementedError

    def _read(self, path: str) -> tuple[Any, Any]:
        raise NotImplementedError

    def _make_partitions(self) -> list[Partition]:
        files = input_files(self.path, skip_directories=True)
        sizes = list(map(os.path.getsize, files))
        groups = packed(files, sizes, self._limit(sizes))
        return [FilesPartition(index, paths) for index, paths in enumerate(groups)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, FilesPartition)
        return map(self._read, partition.paths)


class WholeTextFilesRDD(WholeFilesRDD):
    """Text of UTF-8, invalid parts as U+FFFD; ``use_unicode`` False: keys and values as UTF-8 bytes. Compressed files
    are decompressed.
    """

    def __init__(self, ctx: SparkContext, path: str, min_partitions: int, use_unicode: bool) -> None:
        super().__init__(ctx, path, min_partitions)
        self.use_unicode = use_unicode

    def _limit(self, sizes: list[int]) -> int:
        return -(-sum(sizes) // max(self.min_partitions, 1))

    def _read(self, path: str) -> tuple[Any, Any]:
        with open_compressed(path) if is_compressed(path) else open(path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        pair = file_uri(path), text
        return pair if self.use_unicode else (pair[0].encode("utf-8", "replace"), text.encode("utf-8"))


class BinaryFilesRDD(WholeFilesRDD):
    """Bytes as they are."""

    def _limit(self, sizes: list[int]) -> int:
        parallelism = max(self.ctx.defaultParallelism, self.min_partitions)
        return min(LARGEST, max(OPEN_COST, sum(size + OPEN_COST for size in sizes) // parallelism))

    def _read(self, path: str) -> tuple[Any, Any]:
        with open(path, "rb") as file:
            return file_uri(path), file.read()


def packed(files: list[str], sizes: list[int], limit: int) -> list[list[str]]:
    """Groups of files, each complete once it has ``limit`` bytes or more. Those left over make the last one, with all
    empty files.
    """
    groups: list[list[int]] = []
    group: list[int] = []
    weight = 0
    for index, size in enumerate(sizes):
        if size:
            group.append(index)
            weight += size
        if group and weight >= limit:
            groups.append(group)
            group, weight = [], 0
    rest = sorted([*group, *(index for index, size in enumerate(sizes) if not size)])
    return [[files[index] for index in members] for members in [*groups, rest] if members]
