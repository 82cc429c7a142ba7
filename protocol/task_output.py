"""What a task leaves: its result inline or in a block, or, of a map task, blocks. Values that travel in reports."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from protocol.locations import SharedLocation


class Inline(NamedTuple):
    """A small result, serialised."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


class InBlock(NamedTuple):
    """Where a large result is: in block ``taskresult_N`` of the task's id."""

    location: SharedLocation

    @property
    def size(self) -> int:
        return self.location.length


class MapOutput(NamedTuple):
    """Where the blocks of a map task are, in the order of the shuffle's block ids; None where there is nothing."""

    blocks: tuple[SharedLocation | None, ...]


TaskOutput: TypeAlias = Inline | InBlock | MapOutput


def bare(output: TaskOutput) -> bytes | SharedLocation | tuple[SharedLocation | None, ...]:
    """The only field. It pickles in C, while each of the classes would cost a call into Python."""
    if isinstance(output, Inline):
        return output.data
    return output.location if isinstance(output, InBlock) else output.blocks


def from_bare(field: bytes | SharedLocation | tuple[SharedLocation | None, ...]) -> TaskOutput:
    """The inverse of `bare`."""
    if isinstance(field, bytes):
        return Inline(field)
    return MapOutput(field) if isinstance(field, tuple) else InBlock(field)
