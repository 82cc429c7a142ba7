"""Partitions that are kept under a name in the machine's cache, for other runs and other programs.

`CachedAs` holds the method of RDDs, `cached` is ``sc.cached``. An entry is one partition, in the namespace
``rdd.<name>``; its key says how many partitions there are, so that partitions of different cuts are never mixed. Does
not cover what is kept for one run: `core.RDDCore.persist`.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.conf.settings import Settings
from localcluster.rdd.core import RDDCore
from protocol.errors import CacheError, CacheKeyError

if TYPE_CHECKING:
    from localcluster.cache.cache import Cache
    from localcluster.cache.entry_file import TimeToLive
    from localcluster.rdd.job_service import JobService
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")

named: weakref.WeakSet[RDDCore[Any]] = weakref.WeakSet()
"""The `NamedRDD`s of this process: most programs have none, and their jobs need not look for any."""


class CachedAs(RDDCore[T]):
    """``cacheAs``."""

    def cacheAs(self, name: str, *, ttl: TimeToLive = None) -> RDD[T]:
        """An RDD of the same records whose partitions are kept under ``name`` in the machine's cache, for ``ttl``
        (seconds, or a `timedelta`) or as long as there is room.

        Where all of them are there, by this or by an earlier run of any program, they are read, and this RDD is not
        computed; then it has as many partitions as they have, which may be another number than this RDD's: to `zip` the
        two wants a name for each number, such as ``f"squares-{n}"``. What is missing is computed and kept, by one
        process for all that ask at that time. The name stands for the records: choose another one when what they are
        made by changes. ``sc.cached(name)`` reads them without this RDD; ``localcluster cache rm rdd.<name>`` removes
        them, and `unpersist` does not.

        Raises CacheKeyError for a name that is none: letters, digits, ``. _ -``.

        >>> sc.parallelize(range(4), 2).map(lambda n: n * n).cacheAs("squares").collect()
        [0, 1, 4, 9]
        >>> sc.cached("squares").collect()
        [0, 1, 4, 9]
        """
        from localcluster.cache.entry_file import seconds_of  # few programs need it
        from localcluster.rdd.named_rdd import NamedRDD, whole_count  # which knows RDDs, that derive from this class

        cache, seconds = cache_of(self.ctx, name), seconds_of(ttl)
        return NamedRDD(self.ctx, cache, whole_count(cache), cast("RDD[T]", self), seconds)


def cached(ctx: JobService, name: str) -> RDD[Any]:
    """The RDD whose partitions `CachedAs.cacheAs` kept. Raises CacheError when they are not all there."""
    from localcluster.rdd.named_rdd import NamedRDD, whole_count

    cache = cache_of(ctx, name)
    count = whole_count(cache)
    if count is None:
        raise CacheError(f"no RDD is cached as {name!r} in {cache.directory}, or not all of its partitions are there")
    return NamedRDD(ctx, cache, count, None, None)


def look_at_entries(rdd: RDDCore[Any]) -> None:
    """Before a job on ``rdd``: what is in the cache now need not be computed. Raises CacheError."""
    if named:
        from localcluster.rdd.named_rdd import look_behind

        look_behind(rdd)


def cache_of(ctx: JobService, name: str) -> Cache:
    """Where the partitions of a name are. Raises CacheKeyError for what is no name."""
    from localcluster.cache.cache import Cache  # few programs need it

    if not isinstance(name, str) or not name:
        raise CacheKeyError(f"an RDD is cached under a name of letters, digits, . _ -, not {name!r}")
    return Cache(f"rdd.{name}", directory=Settings(ctx.conf).cache_directory)
