"""What this room does itself is nobody's event: its own calls of the operating system are no place for faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


@contextmanager
def unwatched() -> Iterator[None]:
    """No site that this thread comes to meanwhile is looked at."""
    before = is_unwatched()
    _thread.unwatched = True
    try:
        yield
    finally:
        _thread.unwatched = before


def is_unwatched() -> bool:
    return getattr(_thread, "unwatched", False)
