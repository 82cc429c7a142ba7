"""The values of one key, as ``groupByKey`` and ``cogroup`` give them: PySpark's ``ResultIterable``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class ResultIterable(Iterable[T]):
    """A sized iterable that can be pickled and read any number of times. Not a list: it has no index access."""

    def __init__(self, data: Collection[T]) -> None:
        self.data = data
        self.index = 0
        self.maxindex = len(data)

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)
