"""How an RDD depends on its parents: narrow (pipelined in one stage) or by a shuffle (a stage boundary). Follows
Spark's Dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.base.call_site import call_site

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
    """The child reads, by key, the output of a shuffle over the parent's ``(key, value)`` records.

    With an ``aggregator`` the reader yields one ``(key, combiner)`` per key; ``map_side_combine`` combines before the
    shuffle too, and what is shuffled are combiners then. Without an aggregator records come as they are: those of one
    map task in the order it made them, map tasks in the order of their partitions.

    Pickles without ``rdd``: a reducer needs only the shuffle's id, and the scheduler sends the map side's RDD beside
    it.
    """

    __slots__ = (
        "__weakref__",
        "aggregator",
        "call_site",
        "map_side_combine",
        "partitioner",
        "shuffle_id",
        "stage_binary",
    )

    def __init__(
        self,
        rdd: RDDCore[Any],
        partitioner: Partitioner,
        aggregator: Aggregator | None = None,
        map_side_combine: bool = False,
    ) -> None:
        super().__init__(rdd)
        self.partitioner = partitioner
        self.aggregator = aggregator
        self.map_side_combine = map_side_combine
        self.stage_binary: Any = None
        """The scheduler keeps the pickled map stage here, so that iterative jobs do not pickle it again and again, with
        the ids of the RDDs in it.
        """
        self.call_site = call_site()
        self.shuffle_id: int = rdd.ctx._next_shuffle_id()
        rdd.ctx.register_shuffle(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_shuffle, (self.shuffle_id, self.partitioner, self.aggregator, self.map_side_combine)

    def __repr__(self) -> str:
        return f"ShuffleDependency(shuffle {self.shuffle_id})"


def _restore_shuffle(
    shuffle_id: int, partitioner: Partitioner, aggregator: Aggregator | None, map_side_combine: bool
) -> ShuffleDependency:
    dependency = ShuffleDependency.__new__(ShuffleDependency)
    dependency.shuffle_id = shuffle_id
    dependency.partitioner = partitioner
    dependency.aggregator = aggregator
    dependency.map_side_combine = map_side_combine
    return dependency
