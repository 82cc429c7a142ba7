"""Bytes at a location by reads of its file, for who must not die when that is cut short at any moment.

Covers copies and single objects. A mapping (`storage.segment`, `managed_buffer.FileSegmentBuffer`) needs no copy, but
to touch a page behind the end of the file is a SIGBUS, and a look at the length before leaves a moment. An executor
that dies so is replaced; the driver, which is the user's own process in library mode, reads and writes its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from protocol.errors import StaleLocationError, StorageError
from protocol.locations import SharedLocation
from storage import os_layer
from storage.managed_buffer import open_located
from storage.serializer import load_from


def copy_out(location: SharedLocation) -> bytearray:
    """The bytes at a location, in memory of this process's own. Raises StaleLocationError when the file is gone or too
    short, StorageError when it cannot be read now.
    """
    with _reading(location) as read:
        return read(0, location.length)


def load_out(location: SharedLocation) -> Any:
    """The object in the block at a location; arrays are read right into memory of their own. Raises as `copy_out`, and
    CorruptBlockError, SerializationError.
    """
    with _reading(location) as read:
        return load_from(read, location.length)


@contextmanager
def _reading(location: SharedLocation) -> Iterator[Callable[[int, int], bytearray]]:
    """A function that reads so many bytes from a place in the block."""
    path = location.path

    def read(start: int, length: int) -> bytearray:
        try:
            data = os_layer.read_at(fd, length, location.offset + start)
        except OSError as error:
            raise StorageError(f"cannot read {length} bytes of {path}: {error}") from error
        if len(data) < length:
            raise StaleLocationError(f"{path} was cut short")
        return data

    fd = open_located(path)
    try:
        yield read
    finally:
        os_layer.close(fd)
