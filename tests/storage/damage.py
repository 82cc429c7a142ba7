"""Damage to the bytes of blocks, wherever they lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from protocol.locations import FileLocation, Location, ShmLocation
from storage.block_id import BlockId
from storage.block_manager import BlockManager

Change: TypeAlias = Callable[[bytearray], object]


def flip_first(data: bytearray) -> None:
    data[0] ^= 1


def flip_middle(data: bytearray) -> None:
    data[len(data) // 2] ^= 0x80


def flip_last(data: bytearray) -> None:
    data[-1] ^= 1


def fill_with_zeros(data: bytearray) -> None:
    data[:] = bytes(len(data))


CHANGES: list[Change] = [flip_first, flip_middle, flip_last, fill_with_zeros]


def damage_at(location: Location, change: Change) -> None:
    """Change the bytes at a location that any process can map."""
    assert isinstance(location, ShmLocation | FileLocation)
    path = location.path
    fd = os.open(path, os.O_RDWR)
    data = bytearray(os.pread(fd, location.length, location.offset))
    change(data)
    os.pwrite(fd, data, location.offset)
    os.close(fd)


def damage(manager: BlockManager, block_id: BlockId, change: Change = flip_middle) -> None:
    """Change a block's bytes at one block manager, in the store that its reads ask first."""
    if manager.memory_store.damage(block_id, change):
        return
    location = manager.off_heap_store.location(block_id) or manager.disk_store.location(block_id)
    assert location is not None
    damage_at(location, change)
