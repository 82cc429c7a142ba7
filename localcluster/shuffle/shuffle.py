"""What both sides of a shuffle need to know of it: `Shuffle`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from localcluster.shuffle.aggregator import Aggregator
    from localcluster.shuffle.partitioner import Partitioner


class Shuffle(NamedTuple):
    """``(key, value)`` records, moved to where ``partitioner`` puts their keys.

    With an ``aggregator`` the reader yields one ``(key, combiner)`` per key; ``map_side_combine`` combines before the
    shuffle too, and what is shuffled are combiners then. Without an aggregator records come as they are: those of one
    map task in the order it made them, map tasks in the order of their partitions.
    """

    id: int
    partitioner: Partitioner
    aggregator: Aggregator | None = None
    map_side_combine: bool = False

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The user's functions in it."""
        combine = self.aggregator
        combining = () if combine is None else (combine.createCombiner, combine.mergeValue, combine.mergeCombiners)
        return self.partitioner.partitionFunc, *combining

    def __repr__(self) -> str:  # seen when a function cannot be pickled
        return f"shuffle {self.id}"
