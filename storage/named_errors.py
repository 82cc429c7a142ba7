"""OSErrors that say which file: what the system refuses a descriptor bears no name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def named(path: str) -> Iterator[None]:
    """An OSError of this block bears the path, unless it has one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise
