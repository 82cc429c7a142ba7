"""`Sources`: the methods of a context that make RDDs out of what is outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.base.arguments import PathLike, path_text, whole_number
from localcluster.rdd.binary_records_rdd import BinaryRecordsRDD
from localcluster.rdd.hadoop import HadoopSources
from localcluster.rdd.input_paths import check_paths
from localcluster.rdd.parallel_collection_rdd import empty, parallelize, parallelize_range
from localcluster.rdd.pickle_file_rdd import PickleFileRDD
from localcluster.rdd.text_file_rdd import text_file
from localcluster.rdd.union_rdd import union
from localcluster.rdd.whole_files_rdd import BinaryFilesRDD, WholeTextFilesRDD
from protocol.errors import PySparkValueError

if TYPE_CHECKING:
    from localcluster.api.context import SparkContext
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")


class Sources(HadoopSources):
    """A part of `SparkContext`."""

    def parallelize(self, c: Iterable[T], numSlices: int | None = None) -> RDD[T]:
        """An RDD of the items of a collection, as they are now.

        >>> sc.parallelize([0, 2, 3, 4, 6], 5).glom().collect()
        [[0], [2], [3], [4], [6]]
        """
        return parallelize(self._context, c, numSlices)

    def range(self, start: int, end: int | None = None, step: int = 1, numSlices: int | None = None) -> RDD[int]:
        """An RDD of numbers, which are made in the tasks.

        >>> sc.range(1, 7, 2).collect()
        [1, 3, 5]
        """
        return parallelize_range(self._context, start, end, step, numSlices)

    def textFile(self, name: PathLike, minPartitions: int | None = None, use_unicode: bool = True) -> RDD[str]:
        """The lines of text files: a file, a directory, a glob, or several of these separated by commas. Here and in
        all that take a path, an ``os.PathLike`` counts as its text.

        Files ending in ``.gz``, ``.bz2`` or ``.xz`` are decompressed. Raises FileNotFoundError, when partitions are
        first needed, for a path that does not exist or a glob that matches nothing.
        """
        return text_file(self._context, path_text(name, "name"), self._min_partitions(minPartitions), use_unicode)

    def wholeTextFiles(
        self, path: PathLike, minPartitions: int | None = None, use_unicode: bool = True
    ) -> RDD[tuple[str, str]]:
        """Pairs of a file's URI (``file:/tmp/a``) and its text, for the files that ``path`` means as in `textFile`.
        Directories in a directory are left out. Small files share a partition. With ``use_unicode`` False, both are
        bytes.

        Raises InputPathError, when partitions are first needed, for a path that does not exist.
        """
        path = path_text(path, "path")
        check_paths(path)
        return WholeTextFilesRDD(self._context, path, self._min_partitions(minPartitions), bool(use_unicode))

    def binaryFiles(self, path: PathLike, minPartitions: int | None = None) -> RDD[tuple[str, bytes]]:
        """Pairs of a file's URI and its bytes, like `wholeTextFiles`, but without decompressing. Each partition has
        files of 4 MiB or more, where opening a file counts for 4 MiB.
        """
        path = path_text(path, "path")
        check_paths(path)
        return BinaryFilesRDD(self._context, path, self._min_partitions(minPartitions))

    def binaryRecords(self, path: PathLike, recordLength: int) -> RDD[bytes]:
        """The records of files that hold nothing else, each of ``recordLength`` bytes.

        Raises PySparkValueError for a length below 1. A file that ends within a record fails the job.
        """
        path = path_text(path, "path")
        check_paths(path)
        recordLength = whole_number(recordLength, "recordLength")
        if recordLength < 1:
            raise PySparkValueError(f"recordLength must be above 0, but it is {recordLength}")
        return BinaryRecordsRDD(self._context, path, recordLength)

    def pickleFile(self, name: PathLike, minPartitions: int | None = None) -> RDD[Any]:
        """The records that `RDD.saveAsPickleFile` wrote. Files are cut into ranges of 100 KiB or more.

        Raises InputPathError, when partitions are first needed, for a path that does not exist.
        """
        name = path_text(name, "name")
        return PickleFileRDD(self._context, name, self._min_partitions(minPartitions))

    def emptyRDD(self) -> RDD[Any]:
        """An RDD without partitions."""
        return empty(self._context)

    def union(self, rdds: list[RDD[T]]) -> RDD[T]:
        """All records of several RDDs, one after the other."""
        return union(self._context, rdds)

    def _min_partitions(self, given: int | None) -> int:
        return whole_number(given or self._context.defaultMinPartitions, "minPartitions")

    @property
    def _context(self) -> SparkContext:
        return cast("SparkContext", self)
