"""Estimate how many bytes Python objects take on the heap, by sampling.

Covers single values (`estimate`) and a list that grows (`SizeTracker`, for unrolling). Follows the idea of Spark's
``SizeEstimator`` and ``SizeTracker``. Objects that many records share count once as far as the samples show it.
Classes, functions and modules count nothing: they are there anyway. What is too large to be walked through, and the
items of numpy arrays of objects, are estimated low.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from itertools import chain, islice
from random import Random
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

MAX_VISITS = 50_000  # objects looked at for one estimate
SAMPLE_SIZES = (100, 25, 6, 4)
"""Items in each of the two samples of a long container, by its depth; deeper ones take the last. A container of up to
four times the size is looked at whole."""

SAMPLE_GROWTH = 1.1  # a SizeTracker measures again when the list has grown so many times

_FREE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def estimate(value: Any) -> int:
    """Bytes of ``value`` and all that it alone keeps alive. Takes a bounded time; never raises for odd objects."""
    return _Walk().measure(value, 0)


class SizeTracker:
    """The estimated size of a list that others append to, cheap enough to ask after every few appends.

    Not thread-safe. The list is measured when it has grown by a tenth; in between, it is taken to grow per record as it
    did from the last measurement but one to the last.
    """

    def __init__(self, records: list[Any]) -> None:
        self._records = records
        self._next_sample = 0  # records
        self._sampled_at = 0  # records
        self._sampled_size = 0  # bytes
        self._bytes_per_record = 0.0

    def estimate(self) -> int:
        """Bytes of the list and its records, as `estimate` sees them."""
        count = len(self._records)
        if count >= self._next_sample:
            self._sample(count)
        return self._sampled_size + int(self._bytes_per_record * (count - self._sampled_at))

    def _sample(self, count: int) -> None:
        size = estimate(self._records)
        added = count - self._sampled_at
        self._bytes_per_record = max(0.0, (size - self._sampled_size) / added) if added else 0.0
        self._sampled_at, self._sampled_size = count, size
        self._next_sample = max(count + 1, int(count * SAMPLE_GROWTH))


class _Walk:
    """One walk through an object graph; counts each object once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()  # ids of objects that the value being measured keeps alive
        self._visits_left = MAX_VISITS

    def measure(self, value: Any, depth: int) -> int:
        """Bytes of a value that lies ``depth`` containers deep and of all below it that was not counted before."""
        total = 0
        todo = [(value, depth)]
        while todo and self._visits_left > 0:
            value, depth = todo.pop()
            if id(value) in self._seen or isinstance(value, _FREE):
                continue
            self._seen.add(id(value))
            self._visits_left -= 1
            total += _own_size(value)
            if hasattr(type(value), "nbytes") or isinstance(type(value).__sizeof__, FunctionType):
                continue  # arrays, and classes whose __sizeof__ is written in Python, as pandas' is, count their parts
            count = _length(value)
            sample_size = SAMPLE_SIZES[min(depth, len(SAMPLE_SIZES) - 1)]
            if count <= 4 * sample_size:
                todo += [(item, depth + 1) for item in _items(value)]
            else:
                total += self._measure_samples(value, count, sample_size, depth + 1)
        return total

    def _measure_samples(self, value: Any, count: int, sample_size: int, depth: int) -> int:
        """Bytes below a long container.

        The second sample finds what all items share counted by the first, so the smaller of the two tells what an item
        adds, and the larger contains what is shared.
        """
        sampled = _pick(value, count, 2 * sample_size)
        first = sum(self.measure(item, depth) for item in chain.from_iterable(sampled[::2]))
        second = sum(self.measure(item, depth) for item in chain.from_iterable(sampled[1::2]))
        each = min(first, second) / (len(sampled) / 2)
        return max(first, second) + int(each * (count - len(sampled) / 2))


def _own_size(value: Any) -> int:
    """Bytes of the object itself, with the memory that an array or a buffer stands for."""
    try:
        size = sys.getsizeof(value)
        # The getsizeof of a view (numpy array, memoryview) counts its header only.
        buffer_size = value.nbytes if hasattr(type(value), "nbytes") else 0
    except Exception:  # out of a user's __sizeof__ or property; an estimate must not make a put fail
        return object.__sizeof__(value)
    return max(size, buffer_size) if type(buffer_size) is int else size


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple, dict, set, frozenset)) else 0


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain(value.keys(), value.values())
    # Also the attributes of objects, without making the __dict__ that CPython >= 3.11 saves. None of numbers and text.
    return gc.get_referents(value)


def _pick(value: Any, count: int, number: int) -> list[tuple[Any, ...]]:
    """Some of the items of a long container, in no order that could go with a period in the data."""
    if isinstance(value, (list, tuple)):
        return [(value[index],) for index in Random(count).sample(range(count), number)]
    step = count // number
    if isinstance(value, dict):
        return list(islice(value.items(), 0, step * number, step))
    return [(item,) for item in islice(value, 0, step * number, step)]
