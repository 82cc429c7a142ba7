"""What went through a channel, for those who watch a run."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from operator import add


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What went through a channel so far.

    ``backlog`` is the bytes that a buffered side still keeps. ``doubled`` frames came twice and were dropped, ``early``
    ones waited for one that was sent before them: a pipe does neither.
    """

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    backlog: int = 0
    doubled: int = 0
    early: int = 0

    def __add__(self, other: ChannelStatistics) -> ChannelStatistics:
        return ChannelStatistics(*map(add, astuple(self), astuple(other)))
