"""The values of a block as their reader's own: it may write into arrays, and nobody else sees that.

Covers how the arrays of a block come to be the reader's: large ones in pages that are copied when they are written to
(`private_pages`, `anonymous_pages`), all others by a copy. Reading the bytes is the `serializer`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from storage.managed_buffer import ManagedBuffer
from storage.private_pages import PRIVATE_FROM
from storage.serializer import deserialize, has_buffers


def own_values(data: ManagedBuffer, *, checked: bool = False) -> Iterator[Any]:
    """Raises CorruptBlockError at once unless the bytes are as they were written, or were ``checked``; otherwise as
    `deserialize`. The values outlive the buffer.
    """
    private = private_of(data)
    if private is None:
        return deserialize(data.memoryview(), copy=True, checked=checked)
    if not checked:
        data.check()
    return deserialize(private, checked=True, writable=True)


def private_of(data: ManagedBuffer) -> memoryview | None:
    """`ManagedBuffer.private` where that pays. Raises CorruptBlockError."""
    return data.private() if data.size >= PRIVATE_FROM and has_buffers(data.memoryview()) else None
