"""What can happen to the bytes of blocks: they are lost, cut short, or have bits flipped; wherever they lie.

Nobody is told: whoever reads the block next has to find it. What lies in a file or a segment is changed there, by
ordinary writes, so that all processes see it. A segment holds other blocks too: to cut one short takes along what lies
behind it, and to lose it leaves zeros in its place. Values that are kept as objects can only be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from localcluster.faults.firing import Act, Firing
from localcluster.faults.keys import rule_text
from protocol.locations import FileLocation, ShmLocation
from storage import os_layer
from storage.memory_store import MemoryStore

log = logging.getLogger(__name__)


def _lose(firing: Firing) -> None:
    memory, location = _memory(firing), firing.facts["location"]
    if memory is not None and memory.remove(firing.facts["block_id"]):
        return
    if isinstance(location, FileLocation):
        os_layer.unlink(location.path)
    elif isinstance(location, ShmLocation):
        _write(location, bytes(location.length))
    else:
        _cannot(firing)


def _truncate(firing: Firing) -> None:
    memory, location = _memory(firing), firing.facts["location"]
    if memory is not None and memory.damage(firing.facts["block_id"], _halve):
        return
    if isinstance(location, FileLocation | ShmLocation):
        os_layer.truncate(location.path, location.offset + location.length // 2)
    else:
        _cannot(firing)


def _corrupt(firing: Firing) -> None:
    memory, location = _memory(firing), firing.facts["location"]
    flip = _flip(firing.chance)
    if memory is not None and memory.damage(firing.facts["block_id"], flip):
        return
    if isinstance(location, FileLocation | ShmLocation) and location.length:
        data = _read(location)
        flip(data)
        _write(location, data)
    else:
        _cannot(firing)


def _memory(firing: Firing) -> MemoryStore | None:
    memory: MemoryStore | None = firing.facts.get("memory")
    return memory


def _halve(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _flip(chance: int) -> Callable[[bytearray], None]:
    """Flip the bit that the plan's seed chooses."""

    def flip(data: bytearray) -> None:
        if data:
            data[chance // 8 % len(data)] ^= 1 << chance % 8

    return flip


def _read(location: FileLocation | ShmLocation) -> bytearray:
    fd = os_layer.open_to_read(location.path)
    try:
        return os_layer.read_at(fd, location.length, location.offset)
    finally:
        os_layer.close(fd)


def _write(location: FileLocation | ShmLocation, data: bytes | bytearray) -> None:
    fd = os_layer.open_existing(location.path, writable=True)
    try:
        os_layer.write_at(fd, data, location.offset)
    finally:
        os_layer.close(fd)


def _cannot(firing: Firing) -> None:
    block, location = firing.facts["block"], firing.facts["location"]
    log.warning("%s: block %s is at %s, where its bytes cannot be reached", rule_text(firing.rule), block, location)


ACTS: Mapping[str, Act] = {"lose": _lose, "truncate": _truncate, "corrupt": _corrupt}
