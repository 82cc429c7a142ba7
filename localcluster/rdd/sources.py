"""`Sources`: the methods of a context that make RDDs out of what is outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.rdd.parallel_collection_rdd import empty, parallelize, parallelize_range
from localcluster.rdd.text_file_rdd import text_file
from localcluster.rdd.union_rdd import union

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")


class Sources:
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

    def textFile(self, name: str, minPartitions: int | None = None, use_unicode: bool = True) -> RDD[str]:
        """The lines of text files: a file, a directory, a glob, or several of these separated by commas.

        Files ending in ``.gz``, ``.bz2`` or ``.xz`` are decompressed. Raises FileNotFoundError, when partitions are
        first needed, for a path that does not exist or a glob that matches nothing.
        """
        return text_file(self._context, name, minPartitions, use_unicode)

    def emptyRDD(self) -> RDD[Any]:
        """An RDD without partitions."""
        return empty(self._context)

    def union(self, rdds: list[RDD[T]]) -> RDD[T]:
        """All records of several RDDs, one after the other."""
        return union(self._context, rdds)

    @property
    def _context(self) -> SparkContext:
        return cast("SparkContext", self)
