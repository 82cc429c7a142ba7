"""`Inbound`: what arrives at one end of a channel. Bytes go in, frames come out: whole, in order and each once; then
how the stream ended.

Covers the frame that is missing while later ones are here: it is waited for, `GAP_PATIENCE` seconds. Does not read
(`protocol.channel`), and does not know what the frames mean.
"""

from __future__ import annotations

from collections import deque

from protocol.errors import BrokenChannelError, FrameError
from protocol.sequence import Sequence
from protocol.wire import Frame, FrameDecoder, Kind

GAP_PATIENCE = 2.0  # seconds; a pipe keeps the order, so whatever overtakes by more than this is a loss
RESEND_PATIENCE = 10.0  # seconds, where the peer sends again what was lost


class Inbound:
    """``sequence``: the end's own, whose receiving half this is. Under the channel's receive lock.

    ``resends``: both ends send again what the other has not received.
    """

    def __init__(self, sequence: Sequence[Frame], max_frame: int, resends: bool) -> None:
        self._resends = resends
        self._sequence = sequence
        self._decoder = FrameDecoder(max_frame, drops_garbled=resends)
        self._in_order: deque[Frame] = deque()  # from behind a gap that was filled
        self._end: str | None = None  # how the stream ended

    def feed(self, data: bytes) -> None:
        """Take in what was read from the stream; no bytes are its end."""
        if data:
            self._decoder.feed(data)
        else:
            self._end = self._end or self._how_it_ended()

    def break_off(self, why: str) -> None:
        """Nothing more can be read from the stream."""
        self._end = why

    def next_frame(self) -> Frame | None:
        """The next frame, or None until more is fed. Raises FrameError for garbage: nothing comes after that; and
        BrokenChannelError when no frame is left of a stream that has ended.
        """
        if self._in_order:
            return self._in_order.popleft()
        while (arrived := self._decoder.next_frame()) is not None:
            number, frame = arrived
            if frame.kind is Kind.COUNT:
                self._sequence.announced(number, frame.correlation)
            elif frames := self._sequence.arrived(number, frame):
                self._in_order.extend(frames[1:])
                return frames[0]
        if self._end is not None:
            raise BrokenChannelError(self._end)
        return None

    def given_up_at(self, now: float) -> float | None:
        """When the frame that is missing counts as lost; None: none is missing. See `Sequence.gap_since`."""
        since = self._sequence.gap_since(now)
        return None if since is None else since + self._patience

    def loss(self) -> str:
        """What is wrong, once that time has come."""
        return f"frame {self._sequence.due} was lost: more was sent, and it did not come within {self._patience} s"

    @property
    def _patience(self) -> float:
        return RESEND_PATIENCE if self._resends else GAP_PATIENCE

    def _how_it_ended(self) -> str:
        """The peer is gone, without a goodbye that could be delivered."""
        try:
            self._decoder.finish()
        except FrameError as error:
            return f"the peer is gone; {error}"
        if self._sequence.gap_since(0.0) is not None:
            return f"the peer is gone, and frame {self._sequence.due} was lost"
        return "the peer is gone without a goodbye"
