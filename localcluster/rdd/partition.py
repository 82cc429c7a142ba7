"""A partition: the smallest piece of an RDD, and all that a task needs to compute it besides the RDD itself.

Partitions travel with every task, so they are slotted and small: where the data is (a file range, a stored block),
never the data of a whole RDD. A partition of a derived RDD holds the partitions of the parents it reads, as in Spark.
"""

from __future__ import annotations

from typing import Any


class Partition:
    """Partition number ``index`` of its RDD. Subclasses add slots for what `RDD.compute` needs."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        # A tuple of slot values pickles to less, and loads faster, than the state dictionary of the default protocol.
        return _restore, (type(self), *(getattr(self, name) for name in _slots(type(self))))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in _slots(type(self)))})"


def _slots(cls: type) -> list[str]:
    return [name for base in reversed(cls.__mro__) for name in base.__dict__.get("__slots__", ())]


def _restore(cls: type[Partition], *values: Any) -> Partition:
    partition = cls.__new__(cls)
    for name, value in zip(_slots(cls), values, strict=True):
        setattr(partition, name, value)
    return partition
