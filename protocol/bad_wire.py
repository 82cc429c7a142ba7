"""What a bad wire does to frames that are sent: loses, doubles, swaps, delays or garbles them. For tests, and for plans
of faults; a channel has one only once a `Fate` was met.

Covers the bytes on their way out, below the numbers of frames, so that the peer's channel sees what it would see of a
real one. Has no clock: whoever writes says what time it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class Fate(NamedTuple):
    """What becomes of a frame on the wire: one of these."""

    copies: int = 1  # 0: it is lost; 2: it is doubled
    delay: float = 0.0  # seconds, or until `is_over` says so; what comes behind waits as well, as on a slow pipe
    overtaken: bool = False  # it goes out behind the next one
    garbled: int | None = None  # which of its bytes is wrong, counted round and round
    is_over: Callable[[], bool] = lambda: False


LOST = Fate(copies=0)
DOUBLED = Fate(copies=2)
OVERTAKEN = Fate(overtaken=True)


class BadWire:
    """The outward way of one channel. Under its send lock; times are seconds, monotonic."""

    def __init__(self) -> None:
        self._overtaken = b""
        self._delayed: deque[tuple[float, Callable[[], bool], bytes]] = deque()  # (not before, unless, bytes), in order

    def carry(self, data: bytes, fate: Fate | None, now: float) -> bytes:
        """What goes out now, of these bytes of frames and of what was kept."""
        fate = fate or Fate()
        if fate.overtaken:
            self._overtaken += data
            return self.due(now)
        if fate.garbled is not None:
            data = _garbled(data, fate.garbled)
        data = data * fate.copies
        if fate.copies:  # what is lost overtakes nothing
            data, self._overtaken = data + self._overtaken, b""
        if not fate.delay and not self._delayed:
            return data
        self._delayed.append((now + fate.delay, fate.is_over, data))
        return self.due(now)

    def due(self, now: float) -> bytes:
        """What was delayed until now."""
        data = b""
        while self._delayed and (self._delayed[0][0] <= now or self._delayed[0][1]()):
            data += self._delayed.popleft()[2]
        return data

    def rest(self) -> bytes:
        """All that was kept: the channel closes."""
        return self.due(float("inf")) + self._overtaken


def _garbled(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
