"""A `Store` in a dictionary, which keeps pickles, as the real one does."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

from protocol import by_value


class DictStore:
    """For the threads of one process; in another one, what it is pickled with is a store of its own."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.ttls: dict[str, float | None] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def get_or_compute(self, key: str, function: Callable[[], Any], *, ttl: float | None = None) -> Any:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self.entries:
                value = function()
                self.put(key, value, ttl=ttl)
                return value
            return pickle.loads(self.entries[key])

    def put(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        self.entries[key] = by_value.dumps(value)
        self.ttls[key] = ttl

    def as_found(self, key: str, value: Any) -> Any:
        return value

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __getitem__(self, key: str) -> Any:
        return pickle.loads(self.entries[key])

    def __delitem__(self, key: str) -> None:
        del self.entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __reduce__(self) -> Any:
        return _with, (self.entries,)


def _with(entries: dict[str, bytes]) -> DictStore:
    store = DictStore()
    store.entries = entries
    return store
