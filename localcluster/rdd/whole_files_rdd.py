"""``wholeTextFiles`` and ``binaryFiles``: pairs of a file's URI and all that it holds.

Small files share a partition, as Hadoop's CombineFileInputFormat packs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from localcluster.conf.settings import Settings
from localcluster.rdd.input_files_rdd import InputFilesRDD
from localcluster.rdd.input_paths import Directories, InputFile, file_uri
from localcluster.rdd.partition import Partition
from localcluster.rdd.reading import open_input

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext


class FilesPartition(Partition):
    """Some files, whole."""

    __slots__ = ("paths",)

    def __init__(self, index: int, paths: list[str]) -> None:
        super().__init__(index)
        self.paths = paths


class WholeFilesRDD(InputFilesRDD):
    """Files read whole. Directories in a directory are left out, unless the settings say that they are read."""

    def __init__(self, ctx: JobService, path: str, min_partitions: int) -> None:
        super().__init__(ctx, path)
        self.min_partitions = min_partitions
        self.setName(path)

    def _limit(self, sizes: list[int]) -> int:
        """Bytes from which on a partition takes no further file; 0: none."""
        raise NotImplementedError

    def _read(self, path: str) -> tuple[Any, Any]:
        raise NotImplementedError

    def _make_partitions(self) -> list[Partition]:
        refused = self.settings.directories is Directories.REFUSED
        files = self._files(Directories.PASSED_OVER if refused else None)
        groups = packed(files, self._limit([size for _, size in files]))
        return [FilesPartition(index, paths) for index, paths in enumerate(groups)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, FilesPartition)
        guard = self.settings.tolerance.guard
        return chain.from_iterable(guard(map(self._read, [path])) for path in partition.paths)


class WholeTextFilesRDD(WholeFilesRDD):
    """Text of UTF-8, invalid parts as U+FFFD; ``use_unicode`` False: keys and values as UTF-8 bytes. Compressed files
    are decompressed.
    """

    _travels = (*WholeFilesRDD._travels, "use_unicode")

    def __init__(self, ctx: JobService, path: str, min_partitions: int, use_unicode: bool) -> None:
        super().__init__(ctx, path, min_partitions)
        self.use_unicode = use_unicode

    def _limit(self, sizes: list[int]) -> int:
        return -(-sum(sizes) // max(self.min_partitions, 1))

    def _read(self, path: str) -> tuple[Any, Any]:
        with open_input(path, decompress=True) as file:
            text = file.read().decode("utf-8", "replace")
        pair = file_uri(path), text
        return pair if self.use_unicode else (pair[0].encode("utf-8", "replace"), text.encode("utf-8"))


class BinaryFilesRDD(WholeFilesRDD):
    """Bytes as they are."""

    def _limit(self, sizes: list[int]) -> int:
        parallelism = max(self.ctx.defaultParallelism, self.min_partitions)
        settings = Settings(self.ctx.conf)
        most, cost = settings.files_max_partition_bytes, settings.files_open_cost_in_bytes
        return min(most, max(cost, sum(size + cost for size in sizes) // parallelism))

    def _read(self, path: str) -> tuple[Any, Any]:
        with open_input(path) as file:
            return file_uri(path), file.read()


def packed(files: Sequence[InputFile], limit: int) -> list[list[str]]:
    """Paths in groups, each complete once it has ``limit`` bytes or more. Those left over make the last one, with all
    empty files. 0: all in one.
    """
    groups: list[list[int]] = []
    group: list[int] = []
    weight = 0
    for index, (_, size) in enumerate(files):
        if size:
            group.append(index)
            weight += size
        if group and 0 < limit <= weight:
            groups.append(group)
            group, weight = [], 0
    rest = sorted([*group, *(index for index, (_, size) in enumerate(files) if not size)])
    return [[files[index].path for index in members] for members in [*groups, rest] if members]
