"""`Outbound`: what leaves one end of a channel. Frames go in, get their numbers, and come out as bytes.

Covers the announcement of how many there were. A frame that was lost shows when a later one comes; that the last one
was lost, only this can show. Does not write (`protocol.channel`).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from protocol.bad_wire import BadWire, Fate
from protocol.sequence import Sequence
from protocol.wire import Frame, Kind, encode

RESEND_AFTER = 2.5  # seconds without a confirmation, which comes with an announcement
RESEND_TIMES = 3  # then the peer gives up, or it is not reading now
ANNOUNCE_INTERVAL = 1.0  # seconds between two announcements, and so how late the loss of a last frame is seen


@dataclass
class _Kept:
    end: int  # number of the frame behind these
    data: bytes
    sent_at: float  # seconds, monotonic; the last time
    times: int = 0  # sent again


class Outbound:
    """``sequence``: the end's own, whose sending half this is. Under the channel's send lock.

    ``backlog`` is what the socket has not taken yet. ``resends``: frames are kept until the peer says that it has
    received them, and sent again when it does not.
    """

    def __init__(self, sequence: Sequence[Frame], resends: bool) -> None:
        self.backlog = bytearray()
        self._sequence = sequence
        self._resends = resends
        self._kept: deque[_Kept] = deque()  # in order
        self._announced = 0, 0  # frames sent and received that the peer was told of
        self._announced_at = 0.0  # seconds, monotonic
        self._bad_wire: BadWire | None = None

    def add(self, frames: tuple[Frame, ...], fate: Fate | None = None) -> int:
        """How many bytes were added to the backlog. ``fate`` is what a bad wire does to the frames."""
        data = encode(frames, self._sequence.next(len(frames)))
        if self._resends:
            self._kept.append(_Kept(self._sequence.sent, data, time.monotonic()))
        if fate is not None or self._bad_wire is not None:
            self._bad_wire = self._bad_wire or BadWire()
            data = self._bad_wire.carry(data, fate, time.monotonic())
        self.backlog += data
        return len(data)

    def take_back(self, frames: int) -> None:
        """The last frames, which are all that there is in the backlog, are not sent."""
        self.backlog.clear()
        self._sequence.take_back(frames)
        if self._resends:
            self._kept.pop()

    def has_news(self, now: float) -> bool:
        """Whether `announce` would add anything; without the lock, so it may be out of date."""
        return self._is_to_announce(now) or bool(self._kept) or self._bad_wire is not None

    def announce(self, now: float) -> None:
        """Add what was not confirmed for long, how many frames were sent, if it is time to, and what a bad wire has
        kept until now.
        """
        data = self._unconfirmed(now)
        if self._is_to_announce(now):
            self._announced, self._announced_at = self._news(), now
            data += encode((Frame(Kind.COUNT, self._sequence.due),), self._sequence.sent)
        if self._bad_wire is not None:
            data = self._bad_wire.carry(data, None, now) if data else self._bad_wire.due(now)
        self.backlog += data

    def _is_to_announce(self, now: float) -> bool:
        return self._announced != self._news() and now >= self._announced_at + ANNOUNCE_INTERVAL

    def _news(self) -> tuple[int, int]:
        return self._sequence.sent, self._sequence.due if self._resends else 0

    def _unconfirmed(self, now: float) -> bytes:
        while self._kept and self._kept[0].end <= self._sequence.confirmed:
            self._kept.popleft()
        data = b""
        for kept in self._kept:
            if now >= kept.sent_at + RESEND_AFTER and kept.times < RESEND_TIMES:
                kept.sent_at, kept.times = now, kept.times + 1
                data += kept.data
        return data

    def add_goodbye(self, why: bytes) -> None:
        """The last frame, behind what a bad wire has kept. ``why`` is said when this end fails."""
        goodbye = encode((Frame(Kind.GOODBYE, 0, why),), self._sequence.next())
        self.backlog += goodbye if self._bad_wire is None else self._bad_wire.rest() + goodbye
