"""The pipes between driver and executors, below the real endpoints: frames on their way, and what befalls them.

Frames are numbered by the real `protocol.sequence`; below that they take their time, overtake each other, arrive twice
or not at all. A frame that is missing for too long breaks the channel, as in `protocol.channel`. What was sent before a
process died arrives, and then the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from protocol.channel_statistics import ChannelStatistics
from protocol.errors import BrokenChannelError, ChannelError, ClosedChannelError, FrameError
from protocol.inbound import GAP_PATIENCE
from protocol.outbound import ANNOUNCE_INTERVAL
from protocol.sequence import Sequence
from protocol.wire import Frame
from tests.simulation.clock import Clock
from tests.simulation.faults import Faults


class SimulatedChannel:
    """One end, with what an `Endpoint` uses of a `protocol.channel.Channel`. ``on_readable`` is its owner's."""

    wants_write = False

    def __init__(self, name: str, clock: Clock, faults: Faults) -> None:
        self.name = name
        self.on_readable: Callable[[], None] = lambda: None
        self.on_backlog: Callable[[], None] | None = None
        self._clock = clock
        self._faults = faults
        self._sequence: Sequence[Frame] = Sequence()
        self._announced, self._announced_at = 0, 0.0
        self._ready: list[Frame] = []
        self._peer: SimulatedChannel | None = None
        self._failure: ChannelError | None = None  # of sending
        self._end: ChannelError | None = None  # of receiving, behind what is ready
        self._end_at = 0.0  # when the last frame will have reached the peer

    def connect(self, peer: SimulatedChannel) -> None:
        self._peer, peer._peer = peer, self

    # --- as a Channel ---

    def send(self, *frames: Frame, timeout: float | None = None, fate: None = None) -> None:
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args)
        for frame in frames:
            number = self._sequence.next()
            self._carry(
                self._faults.delays_of_frame(),
                lambda peer, number=number, frame=frame: peer._arrive(number, frame),  # type: ignore[misc]
            )

    def announce(self, now: float) -> None:
        sent = self._sequence.sent
        if self._failure is None and sent != self._announced and now >= self._announced_at + ANNOUNCE_INTERVAL:
            self._announced, self._announced_at = sent, now
            self._carry([self._faults.delay()], lambda peer: peer._sequence.announced(sent))  # those are never lost

    def expire(self, now: float) -> None:
        since = self._sequence.gap_since(now)
        if since is not None and since + GAP_PATIENCE <= now and self._end is None:
            self._clock.trace(self.name, "breaks: it lacks frame", self._sequence.due)
            self.refuse(f"frame {self._sequence.due} was lost")
            self.on_readable()

    def receive_ready(self) -> list[Frame]:
        ready, self._ready = self._ready, []
        if not ready and self._end is not None:
            raise type(self._end)(*self._end.args)
        return ready

    def refuse(self, what: str) -> FrameError:
        error = FrameError(f"channel {self.name}: {what}")
        self.fail(error)
        return error

    def fail(self, error: ChannelError) -> None:
        self._failure = self._end = error
        self._tell_peer_of_the_end()

    def abort(self) -> None:
        if not isinstance(self._failure, ClosedChannelError):
            self._failure = self._end = ClosedChannelError(f"channel {self.name}: closed by this side")
            self._ready.clear()
            self.on_readable = lambda: None
            self._tell_peer_of_the_end()

    close = abort

    def statistics(self) -> ChannelStatistics:
        return ChannelStatistics(self._sequence.sent)

    # --- on the way ---

    def _carry(self, delays: Iterable[float], arrive: Callable[[SimulatedChannel], None]) -> None:
        peer = self._peer
        assert peer is not None
        for delay in delays:
            self._end_at = max(self._end_at, self._clock.now + delay)
            self._clock.later(delay, lambda: arrive(peer))

    def _arrive(self, number: int, frame: Frame) -> None:
        if self._end is None:
            self._ready += self._sequence.arrived(number, frame)
            if self._ready:
                self.on_readable()

    def _tell_peer_of_the_end(self) -> None:
        peer = self._peer
        assert peer is not None
        peer._failure = peer._failure or BrokenChannelError(f"channel {peer.name}: the peer is gone")
        self._clock.later(max(0.0, self._end_at - self._clock.now), peer._ended)

    def _ended(self) -> None:
        if self._end is None:
            self._end = BrokenChannelError(f"channel {self.name}: the peer is gone without a goodbye")
            self.on_readable()


def pipe(names: tuple[str, str], clock: Clock, faults: Faults) -> tuple[Any, Any]:
    """Both ends, which endpoints take for channels."""
    ours, theirs = (SimulatedChannel(name, clock, faults) for name in names)
    ours.connect(theirs)
    return ours, theirs
