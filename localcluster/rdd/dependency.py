"""How an RDD depends on its parents: narrow (pipelined in one stage) or by a shuffle (a stage boundary). Follows
Spark's Dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.base.call_site import call_site
from localcluster.shuffle.shuffle import Shuffle

if TYPE_CHECKING:
    from localcluster.rdd.core import RDDCore
    from localcluster.shuffle.aggregator import Aggregator
    from localcluster.shuffle.partitioner import Partitioner


class Dependency:
    """A dependency on ``rdd``."""

    __slots__ = ("rdd",)

    def __init__(self, rdd: RDDCore[Any]) -> None:
        self.rdd = rdd


class NarrowDependency(Dependency):
    """Each partition of the child reads a few partitions of the parent, in the same task."""

    __slots__ = ()

    def parents(self, index: int) -> list[int]:
        """Indices of the parent's partitions that partition ``index`` of the child reads. For the driver only."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return NarrowDependency, (self.rdd,)  # which partitions to read travels in the partition


class OneToOneDependency(NarrowDependency):
    """Partition i of the child reads partition i of the parent."""

    __slots__ = ()

    def parents(self, index: int) -> list[int]:
        return [index]


class RangeDependency(NarrowDependency):
    """``length`` partitions of the child, from ``out_start`` on, read the parent's from ``in_start`` on, one each."""

    __slots__ = ("in_start", "length", "out_start")

    def __init__(self, rdd: RDDCore[Any], in_start: int, out_start: int, length: int) -> None:
        super().__init__(rdd)
        self.in_start = in_start
        self.out_start = out_start
        self.length = length

    def parents(self, index: int) -> list[int]:
        if self.out_start <= index < self.out_start + self.length:
            return [index - self.out_start + self.in_start]
        return []


class GroupDependency(NarrowDependency):
    """Partition i of the child reads the parent's partitions ``groups[i]``."""

    __slots__ = ("groups",)

    def __init__(self, rdd: RDDCore[Any], groups: list[range]) -> None:
        super().__init__(rdd)
        self.groups = groups

    def parents(self, index: int) -> list[int]:
        return list(self.groups[index])


class ShuffleDependency(Dependency):
    """The child reads, by key, the output of a shuffle over the parent's records.

    Pickles without ``rdd``: a reducer needs only the shuffle, and the map side's RDD is sent beside it.
    """

    __slots__ = ("__weakref__", "call_site", "shuffle", "stage_binary")

    def __init__(
        self,
        rdd: RDDCore[Any],
        partitioner: Partitioner,
        aggregator: Aggregator | None = None,
        map_side_combine: bool = False,
    ) -> None:
        super().__init__(rdd)
        self.shuffle = Shuffle(rdd.ctx._next_shuffle_id(), partitioner, aggregator, map_side_combine)
        self.stage_binary: Any = None
        """The planner keeps the pickled map stage here, so that iterative jobs do not pickle it again and again, with
        the ids of the RDDs in it.
        """
        self.call_site = call_site()
        rdd.ctx._kept.register_shuffle(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_shuffle, (self.shuffle,)


def _restore_shuffle(shuffle: Shuffle) -> ShuffleDependency:
    dependency = ShuffleDependency.__new__(ShuffleDependency)
    dependency.shuffle = shuffle
    return dependency
