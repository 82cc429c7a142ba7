"""The numbers of the frames on a channel: with them a lost, doubled or early frame is noticed, and order is restored.

Covers one end: the numbers that it gives, and what becomes of those that arrive. Has no clock and no pipe: how long a
missing frame is waited for is the owner's affair (`protocol.channel`), and so is what then follows.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")  # a frame


class Sequence(Generic[T]):
    """Both directions at one end of a channel; each counts its frames from 0.

    The sending half and the receiving half share nothing, so each may be under a lock of its own.
    """

    def __init__(self) -> None:
        self.sent = 0  # frames that have a number: the next one's
        self.due = 0  # number of the next frame to be delivered
        self.doubled = 0  # frames dropped so far because they had come before
        self.early = 0  # frames so far that came before one that was sent before them
        self.confirmed = 0  # frames that the peer has received, as it says
        self._waiting: dict[int, T] = {}  # {number: frame} that came early
        self._announced = 0  # how many frames the peer has sent, as it says
        self._gap: tuple[int, float] | None = None  # the number that is missing, and when that was first seen

    # --- sending ---

    def next(self, frames: int = 1) -> int:
        """The number of the next frame; those of ``frames`` of them follow each other."""
        number = self.sent
        self.sent += frames
        return number

    def take_back(self, frames: int) -> None:
        """The last ``frames`` numbers were given to frames that were not sent."""
        self.sent -= frames

    # --- receiving ---

    def arrived(self, number: int, frame: T) -> tuple[T, ...]:
        """The frames that can be delivered now, in order: none when this one came before or comes too early."""
        if number == self.due and not self._waiting:
            self.due = number + 1
            return (frame,)
        if number < self.due or number in self._waiting:
            self.doubled += 1
            return ()
        if number > self.due:
            self.early += 1
        self._waiting[number] = frame
        return tuple(self._deliverable())

    def announced(self, sent: int, received: int = 0) -> None:
        """The peer says how many frames it has sent so far, so that the loss of the last one shows, too; and up to
        which it has received those of this end.
        """
        self._announced = max(self._announced, sent)
        self.confirmed = max(self.confirmed, received)

    def gap_since(self, now: float) -> float | None:
        """Since when the next frame is known to be missing; None while none is. That time begins with the first call
        that sees it, so call this whenever you have read.
        """
        if not self._waiting and self._announced <= self.due:
            self._gap = None
            return None
        if self._gap is None or self._gap[0] != self.due:
            self._gap = self.due, now
        return self._gap[1]

    def _deliverable(self) -> list[T]:
        frames = []
        while self.due in self._waiting:
            frames.append(self._waiting.pop(self.due))
            self.due += 1
        return frames
