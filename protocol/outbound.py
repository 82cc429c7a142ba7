"""`Outbound`: what leaves one end of a channel. Frames go in, get their numbers, and come out as bytes.

Covers the announcement of how many there were. A frame that was lost shows when a later one comes; that the last one
was lost, only this can show. Does not write (`protocol.channel`).
"""

from __future__ import annotations

import time

from protocol.bad_wire import BadWire, Fate
from protocol.sequence import Sequence
from protocol.wire import Frame, Kind, encode

ANNOUNCE_INTERVAL = 1.0  # seconds between two announcements, and so how late the loss of a last frame is seen


class Outbound:
    """``sequence``: the end's own, whose sending half this is. Under the channel's send lock.

    ``backlog`` is what the socket has not taken yet.
    """

    def __init__(self, sequence: Sequence[Frame]) -> None:
        self.backlog = bytearray()
        self._sequence = sequence
        self._announced, self._announced_at = 0, 0.0  # how many frames the peer was told of, and when
        self._bad_wire: BadWire | None = None

    def add(self, frames: tuple[Frame, ...], fate: Fate | None = None) -> int:
        """How many bytes were added to the backlog. ``fate`` is what a bad wire does to the frames."""
        data = encode(frames, self._sequence.next(len(frames)))
        if fate is not None or self._bad_wire is not None:
            self._bad_wire = self._bad_wire or BadWire()
            data = self._bad_wire.carry(data, fate, time.monotonic())
        self.backlog += data
        return len(data)

    def take_back(self, frames: int) -> None:
        """The last frames, which are all that there is in the backlog, are not sent."""
        self.backlog.clear()
        self._sequence.take_back(frames)

    def has_news(self, now: float) -> bool:
        """Whether `announce` would add anything; without the lock, so it may be out of date."""
        return self._is_to_announce(now) or self._bad_wire is not None

    def announce(self, now: float) -> None:
        """Add how many frames were sent, if it is time to, and what a bad wire has kept until now."""
        data = b""
        if self._is_to_announce(now):
            self._announced, self._announced_at = self._sequence.sent, now
            data = encode((Frame(Kind.COUNT),), self._sequence.sent)
        if self._bad_wire is not None:
            data = self._bad_wire.carry(data, None, now) if data else self._bad_wire.due(now)
        self.backlog += data

    def _is_to_announce(self, now: float) -> bool:
        return self._announced != self._sequence.sent and now >= self._announced_at + ANNOUNCE_INTERVAL

    def add_goodbye(self, why: bytes = b"") -> None:
        """The last frame, behind what a bad wire has kept. ``why`` is said when this end fails."""
        goodbye = encode((Frame(Kind.GOODBYE, 0, why),), self._sequence.next())
        self.backlog += goodbye if self._bad_wire is None else self._bad_wire.rest() + goodbye
