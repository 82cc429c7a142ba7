"""`Sources`: the methods of a context that make RDDs out of what is outside, checkpoints among it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import PathLike, path_text, whole_number
from localcluster.rdd.binary_records_rdd import BinaryRecordsRDD
from localcluster.rdd.cached_as import cached
from localcluster.rdd.hadoop import HadoopSources
from localcluster.rdd.input_paths import check_paths, file_uri, local_path
from localcluster.rdd.parallel_collection_rdd import empty, parallelize, parallelize_range
from localcluster.rdd.pickle_file_rdd import PickleFileRDD
from localcluster.rdd.text_file_rdd import text_file
from localcluster.rdd.union_rdd import union
from localcluster.rdd.whole_files_rdd import BinaryFilesRDD, WholeTextFilesRDD
from protocol.errors import PySparkValueError

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")


class Sources(HadoopSources):
    """Methods of `SparkContext`. All they ask of it is a `JobService`."""

    def parallelize(self: JobService, c: Iterable[T], numSlices: int | None = None) -> RDD[T]:
        """An RDD of the items of a collection, as they are now.

        >>> sc.parallelize([0, 2, 3, 4, 6], 5).glom().collect()
        [[0], [2], [3], [4], [6]]
        """
        return parallelize(self, c, numSlices)

    def range(
        self: JobService, start: int, end: int | None = None, step: int = 1, numSlices: int | None = None
    ) -> RDD[int]:
        """An RDD of numbers, which are made in the tasks.

        >>> sc.range(1, 7, 2).collect()
        [1, 3, 5]
        """
        return parallelize_range(self, start, end, step, numSlices)

    def textFile(
        self: JobService, name: PathLike, minPartitions: int | None = None, use_unicode: bool = True
    ) -> RDD[str]:
        """The lines of text files: a file, a directory, a glob, or several of these separated by commas. Here and in
        all that take a path, an ``os.PathLike`` counts as its text.

        Files ending in ``.gz``, ``.bz2`` or ``.xz`` are decompressed. Raises FileNotFoundError, when partitions are
        first needed, for a path that does not exist or a glob that matches nothing.
        """
        return text_file(self, path_text(name, "name"), _min_partitions(self, minPartitions), use_unicode)

    def wholeTextFiles(
        self: JobService, path: PathLike, minPartitions: int | None = None, use_unicode: bool = True
    ) -> RDD[tuple[str, str]]:
        """Pairs of a file's URI (``file:/tmp/a``) and its text, for the files that ``path`` means as in `textFile`.
        Directories in a directory are left out. Small files share a partition. With ``use_unicode`` False, both are
        bytes.

        Raises InputPathError, when partitions are first needed, for a path that does not exist.
        """
        path = path_text(path, "path")
        check_paths(path)
        return WholeTextFilesRDD(self, path, _min_partitions(self, minPartitions), bool(use_unicode))

    def binaryFiles(self: JobService, path: PathLike, minPartitions: int | None = None) -> RDD[tuple[str, bytes]]:
        """Pairs of a file's URI and its bytes, like `wholeTextFiles`, but without decompressing. Each partition has
        files of 4 MiB or more, where opening a file counts for 4 MiB.
        """
        path = path_text(path, "path")
        check_paths(path)
        return BinaryFilesRDD(self, path, _min_partitions(self, minPartitions))

    def binaryRecords(self: JobService, path: PathLike, recordLength: int) -> RDD[bytes]:
        """The records of files that hold nothing else, each of ``recordLength`` bytes.

        Raises PySparkValueError for a length below 1. A file that ends within a record fails the job.
        """
        path = path_text(path, "path")
        check_paths(path)
        recordLength = whole_number(recordLength, "recordLength")
        if recordLength < 1:
            raise PySparkValueError(f"recordLength must be above 0, but it is {recordLength}")
        return BinaryRecordsRDD(self, path, recordLength)

    def pickleFile(self: JobService, name: PathLike, minPartitions: int | None = None) -> RDD[Any]:
        """The records that `RDD.saveAsPickleFile` wrote. Files are cut into ranges of 100 KiB or more.

        Raises InputPathError, when partitions are first needed, for a path that does not exist.
        """
        name = path_text(name, "name")
        return PickleFileRDD(self, name, _min_partitions(self, minPartitions))

    def emptyRDD(self: JobService) -> RDD[Any]:
        """An RDD without partitions."""
        return empty(self)

    def union(self: JobService, rdds: list[RDD[T]]) -> RDD[T]:
        """All records of several RDDs, one after the other."""
        return union(self, rdds)

    def cached(self: JobService, name: str) -> RDD[Any]:
        """The records that an RDD was made of which some program cached by ``rdd.cacheAs(name)``.

        Raises CacheError when they are not there, or not all of them.
        """
        return cached(self, name)

    def setCheckpointDir(self: JobService, dirName: PathLike) -> None:
        """Where checkpoints go: a new directory in ``dirName``, a path or ``file:`` URI. It stays when the context
        ends.

        Raises SparkException when the directory cannot be made, ValueError for another file system's URI.
        """
        self._checkpoints.make_directory(dirName)

    def getCheckpointDir(self: JobService) -> str | None:
        """The URI of the directory that `setCheckpointDir` made; None before."""
        directory = self._checkpoints.directory
        return None if directory is None else file_uri(directory)

    def _checkpointFile(self: JobService, name: PathLike, input_deserializer: Any = None) -> RDD[Any]:
        """The RDD in a checkpoint, of this or of an earlier context: ``name`` is what `RDD.getCheckpointFile` gave.

        ``input_deserializer`` has no meaning here. Raises IllegalArgumentException for a directory that does not exist.
        """
        from localcluster.rdd.checkpoint_rdd import ReliableCheckpointRDD  # few programs need it

        return ReliableCheckpointRDD(self, local_path(path_text(name, "name")))


def _min_partitions(ctx: JobService, given: int | None) -> int:
    return whole_number(given or ctx.defaultMinPartitions, "minPartitions")
