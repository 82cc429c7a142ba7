"""`GroupByKey`: groups of sorted pairs, whose values are lists that go to disk as they grow."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from storage import serializer
from storage.disk_block_manager import configured_local_dirs


class ExternalList(Iterable[Any]):
    """A list to append to, whose items are on disk but for the last ``LIMIT``. Can be pickled, with all its items.

    >>> numbers = ExternalList([1, 2])
    >>> numbers.append(3)
    >>> len(numbers), list(numbers)
    (3, [1, 2, 3])
    """

    LIMIT = 10240  # items in memory

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.count = self._size_of(values)
        self._file: Any = None

    def append(self, value: Any) -> None:
        """Raises SerializationError and OSError when items must go to disk and cannot."""
        self.values.append(value)
        self.count += self._size_of([value])
        if len(self.values) >= self.LIMIT:
            self._spill()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return chain(serializer.deserialize_stream(self._written()), self.values)

    def __getstate__(self) -> tuple[list[Any], int, bytes]:
        return self.values, self.count, self._written()

    def __setstate__(self, state: tuple[list[Any], int, bytes]) -> None:
        self.values, self.count, written = state
        self._file = None
        if written:
            self._open().write(written)

    @staticmethod
    def _size_of(values: list[Any]) -> int:
        return len(values)

    def _spill(self) -> None:
        file = self._file or self._open()
        for piece in serializer.serialize(self.values):
            file.write(piece)
        file.flush()
        self.values = []

    def _open(self) -> Any:
        directories = configured_local_dirs([])
        # It has no name, so closing it is all that there is to do.
        self._file = tempfile.TemporaryFile(dir=directories[0] if directories else None)  # noqa: SIM115 - see above
        weakref.finalize(self, self._file.close)
        return self._file

    def _written(self) -> bytes:
        if self._file is None:
            return b""
        self._file.flush()
        return os.pread(self._file.fileno(), self._file.tell(), 0)


class ExternalListOfList(ExternalList):
    """An `ExternalList` of lists that reads as one list, and has its length."""

    @staticmethod
    def _size_of(values: list[Any]) -> int:
        return sum(map(len, values))

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(super().__iter__())


class GroupByKey(Iterable[tuple[Any, ExternalListOfList]]):
    """``(key, values)`` for each run of equal keys in pairs of key and list of values.

    >>> pairs = [("a", [1]), ("a", [2, 3]), ("b", [4])]
    >>> [(key, list(values)) for key, values in GroupByKey(pairs)]
    [('a', [1, 2, 3]), ('b', [4])]
    """

    def __init__(self, iterator: Iterable[tuple[Any, list[Any]]]) -> None:
        self.iterator = iterator

    def __iter__(self) -> Iterator[tuple[Any, ExternalListOfList]]:
        for key, pairs in groupby(self.iterator, key=itemgetter(0)):
            values = ExternalListOfList([])
            for _, more in pairs:
                values.append(more)
            yield key, values
