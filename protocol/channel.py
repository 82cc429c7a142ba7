"""A channel: frames over one duplex ``multiprocess`` Pipe, with an error of its own for each way it can end.

Covers sending, receiving and closing, by threads that may come at any time. `protocol.stream` reads and writes the
bytes, `protocol.wire` says what they are, `protocol.outbound` and `protocol.inbound` have what is done to frames before
and after they travel, `protocol.endpoint` asks and answers.

A blocking side waits until the peer takes what it sends; a *buffered* side (the driver, which must not wait for an
executor that is stopped) keeps what does not fit and writes it when its event loop calls `flush`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from protocol.bad_wire import Fate
from protocol.channel_statistics import ChannelStatistics
from protocol.errors import (
    AskTimeoutError,
    BrokenChannelError,
    ChannelError,
    ClosedChannelError,
    EndOfChannel,
    ForkedChannelError,
    FrameError,
    FrameTooLargeError,
)
from protocol.forks import disown_in_forks, free_in_forks
from protocol.inbound import Inbound
from protocol.outbound import Outbound
from protocol.sequence import Sequence
from protocol.stream import READ_SIZE, ConnectionLike, Stream, deadline_in
from protocol.wire import MAX_FRAME, Frame, Kind

log = logging.getLogger(__name__)

READS_AT_ONCE = 16  # reads by one receive_ready, so that a peer that never stops cannot keep the event loop to itself
GOODBYE_TIMEOUT = 0.5  # seconds that close waits for a peer that does not read


class Channel:
    """One end. Any thread may send, receive or close at any time.

    With ``resends``, at both ends, a frame that was lost is sent again, by `announce`. The channel owns the connection.
    Only one process uses an end: in a forked one the channel is closed, which does not disturb the parent's.
    """

    def __init__(
        self,
        connection: ConnectionLike,
        *,
        name: str = "",
        max_frame: int = MAX_FRAME,
        buffered: bool = False,
        resends: bool = False,
    ) -> None:
        self.name = name
        self.buffered = buffered
        self.on_backlog: Callable[[], None] | None = None  # buffered: called when bytes first stay behind
        self._stream = Stream(connection)
        self._max_frame = max_frame
        self._close_lock = free_in_forks(threading.Lock())
        self._closed = False  # close_lock; set together with both failures below
        self._receive_lock = free_in_forks(threading.Lock())
        self._sequence: Sequence[Frame] = Sequence()  # each half under its lock
        self._inbound = Inbound(self._sequence, max_frame, resends)  # receive_lock, as the next
        self._failure: ChannelError | None = None  # why nothing more can be received
        self._send_lock = free_in_forks(threading.Lock())
        self._outbound = Outbound(self._sequence, resends)  # send_lock, as the next
        self._send_failure: ChannelError | None = None  # why nothing more can be sent
        disown_in_forks(self)

    def fileno(self) -> int:
        """The descriptor, for a selector. Raises ClosedChannelError when closed: unregister before that."""
        if self._closed:
            raise ClosedChannelError(self._text("closed by this side"))
        return self._stream.fd

    # --- sending ---

    def send(self, *frames: Frame, timeout: float | None = None, fate: Fate | None = None) -> None:
        """Send the frames in one write where the socket takes it.

        A blocking side waits up to ``timeout`` seconds (None: while the peer lives). A buffered side never waits.
        ``fate`` is what a bad wire does to them; what it keeps goes out with a later `send` or `announce`.

        Raises FrameTooLargeError for a frame over the limit, and AskTimeoutError if not a byte got out in time: in both
        cases nothing was sent and the channel is as it was. Raises BrokenChannelError if the peer is gone, or stopped
        reading in the middle of a frame until the deadline; ClosedChannelError after our own close.
        """
        for frame in frames:
            if (size := len(frame.payload)) > self._max_frame:
                raise FrameTooLargeError(self._text(f"{size} bytes do not fit a frame of {self._max_frame}"))
        deadline = deadline_in(timeout)
        if not self._send_lock.acquire(timeout=-1 if timeout is None else timeout):
            raise AskTimeoutError(self._text(f"other senders waited for {timeout} s"))
        try:
            self._check_sending()
            was_empty = not self._outbound.backlog
            added = self._outbound.add(frames, fate)  # under the lock, so that numbers go out in their order
            self._write()
            if not self.buffered:
                self._write_rest(added, len(frames), deadline)
            stays_behind = was_empty and bool(self._outbound.backlog)
        finally:
            self._send_lock.release()
        if stays_behind and self.on_backlog is not None:
            self.on_backlog()  # outside the lock: it wakes an event loop that will want to flush

    def flush(self) -> bool:
        """Write what the socket takes now; True when nothing stays behind. Raises as `send` does."""
        with self._send_lock:
            self._check_sending()
            self._write()
            return not self._outbound.backlog

    @property
    def wants_write(self) -> bool:
        """Whether bytes stay behind: watch the descriptor for writing and call `flush`."""
        return bool(self._outbound.backlog)

    def announce(self, now: float) -> None:
        """Tell the peer how many frames were sent, if it was not told since, at most once in a second or so. For
        whoever keeps the time of this side; ``now`` is ``time.monotonic()``. Never waits and never raises: a failure is
        for who sends.
        """
        if not self._outbound.has_news(now) or not self._send_lock.acquire(blocking=False):
            return  # a sender that is at it will call again
        try:
            if self._send_failure is None and (self.buffered or self._stream.wait_writable(time.monotonic())):
                self._outbound.announce(now)
                self._write()
        except ChannelError as error:
            log.debug("no announcement: %s", error)
        finally:
            self._send_lock.release()

    def _check_sending(self) -> None:
        if self._send_failure is not None:
            raise _again(self._send_failure)

    def _write_rest(self, size: int, frames: int, deadline: float | None) -> None:
        """Blocking side: wait until the last ``size`` bytes of the outbound are out, which are so many frames. On a
        failure none of them stay.
        """
        while self._outbound.backlog:
            if self._stream.wait_writable(deadline):
                self._write()
            elif len(self._outbound.backlog) == size:
                self._outbound.take_back(frames)
                raise AskTimeoutError(self._text("the peer takes nothing"))
            else:
                self._outbound.backlog.clear()
                error = BrokenChannelError(self._text("the peer stopped reading inside a frame"))
                self.fail(error)  # half a frame is out: nothing that follows could be understood
                raise error

    def _write(self) -> None:
        try:
            self._stream.write(self._outbound.backlog)
        except OSError as error:
            self._outbound.backlog.clear()
            if self._send_failure is None:  # else this side closed meanwhile
                self._send_failure = BrokenChannelError(self._text(f"the peer is gone ({error.strerror})"))
            raise _again(self._send_failure) from error

    # --- receiving ---

    def receive(self, timeout: float | None = None) -> Frame:
        """The next frame, waiting up to ``timeout`` seconds (None: while the peer lives).

        Raises EndOfChannel after the peer's goodbye, BrokenChannelError when it went without, FrameError for bytes that
        are no frame and for a frame that was lost, here or at the peer (these three stay: nothing can be received any
        more), ClosedChannelError on our own close, even while waiting, and AskTimeoutError when nothing came in time.
        """
        deadline = deadline_in(timeout)
        with self._receive_lock:
            while True:
                frame = self._next_frame()
                if frame is not None:
                    return frame
                lost_at = self._give_up_gap(time.monotonic())
                until = lost_at if lost_at is not None and (deadline is None or lost_at < deadline) else deadline
                if self._stream.wait_readable(until):
                    self._read()
                elif until == deadline:
                    raise AskTimeoutError(self._text(f"nothing came for {timeout} s"))

    def receive_ready(self) -> list[Frame]:
        """All frames that are here now, without waiting; [] if none. Raises as `receive` does, but only when no frame
        is left: an end or a failure behind them makes the descriptor readable again, so that the next call reports it.
        """
        frames: list[Frame] = []
        with self._receive_lock:
            if self._failure is not None:
                raise _again(self._failure)
            for _ in range(READS_AT_ONCE):
                is_drained = self._read() < READ_SIZE
                try:
                    while (frame := self._next_frame()) is not None:
                        frames.append(frame)
                except ChannelError:
                    if not frames:
                        raise
                    break
                if is_drained:
                    break
        return frames

    def expire(self, now: float) -> None:
        """A frame that has been missing for too long breaks the channel. ``now`` is ``time.monotonic()``. For the event
        loop of a side that reads with `receive_ready`, which hears of it by the next of those.
        """
        with self._receive_lock, suppress(FrameError):
            self._give_up_gap(now)

    def _give_up_gap(self, now: float) -> float | None:
        """When the frame that is missing now will count as lost, if one is. Raises FrameError when it does by now."""
        lost_at = self._inbound.given_up_at(now)
        if lost_at is not None and lost_at <= now and self._failure is None:
            raise self.refuse(self._inbound.loss())
        return lost_at

    def refuse(self, what: str) -> FrameError:
        """What came through is unusable, for this reason: `fail`, with the error that is returned."""
        error = FrameError(self._text(what))
        self.fail(error)
        return error

    def fail(self, error: ChannelError) -> None:
        """Later receives and sends raise ``error``; the peer sees a broken channel, and is told why of a FrameError."""
        with self._close_lock:
            if not self._closed:
                if isinstance(error, FrameError):
                    self._say_goodbye(0.0, str(error))
                self._failure = self._send_failure = error
                self._stream.shut_down()

    def _next_frame(self) -> Frame | None:
        if self._failure is not None:
            raise _again(self._failure)
        try:
            frame = self._inbound.next_frame()
        except FrameError as garbled:
            raise self.refuse(str(garbled)) from None
        except BrokenChannelError as end:
            raise BrokenChannelError(self._text(str(end))) from None
        if frame is not None and frame.kind is Kind.GOODBYE:
            why = frame.payload.decode(errors="replace")
            closed = EndOfChannel(self._text("closed by the peer"))
            self._failure = self._failure or (FrameError(self._text(f"the peer gave up: {why}")) if why else closed)
            raise _again(self._failure)
        return frame

    def _read(self) -> int:
        """Take in one read's bytes and return their number: 0 at the end, or when there are none."""
        try:
            data = self._stream.read()
        except OSError as error:
            self._inbound.break_off(f"the peer is gone ({error.strerror})")
            return 0
        if data is not None:
            self._inbound.feed(data)
        return len(data or b"")

    # --- the end ---

    def close(self, timeout: float = GOODBYE_TIMEOUT) -> None:
        """Send what stays behind and a goodbye, waiting up to ``timeout`` seconds for a peer that does not read; then
        `abort`. Never raises: a peer that is gone needs no goodbye.
        """
        self._close(timeout)

    def abort(self) -> None:
        """Close without a goodbye and without waiting; threads that wait in send or receive get ClosedChannelError."""
        self._close(None)

    def _close(self, goodbye: float | None) -> None:
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._failure = self._send_failure = ClosedChannelError(self._text("closed by this side"))
        if goodbye is not None:
            self._say_goodbye(goodbye)
        self._stream.shut_down()
        with self._receive_lock, self._send_lock:  # they wait for whoever is inside the stream and was just woken
            self._stream.close()

    def disown(self) -> None:
        """In a forked process, whose copy ends here: sending and receiving raise ForkedChannelError."""
        text = self._text(f"process {os.getpid()} was forked from the one that it belongs to")
        self._failure = self._send_failure = ForkedChannelError(text)
        self._closed = True
        self._stream.close()

    def _say_goodbye(self, timeout: float, why: str = "") -> None:
        """The last frame, if the peer takes it in time; ``why``: this end has failed."""
        deadline = deadline_in(timeout)
        if not self._send_lock.acquire(timeout=timeout):
            return  # a sender is at it or stuck, so the peer does not read
        try:
            self._outbound.add_goodbye(why.encode())
            while self._outbound.backlog and self._stream.wait_writable(deadline):
                self._write()
        except ChannelError as error:
            log.debug("no goodbye: %s", error)
        finally:
            self._send_lock.release()

    def statistics(self) -> ChannelStatistics:
        numbers, stream = self._sequence, self._stream
        so_far = numbers.sent, numbers.due, stream.bytes_sent, stream.bytes_received
        return ChannelStatistics(*so_far, len(self._outbound.backlog), numbers.doubled, numbers.early)

    def _text(self, what: str) -> str:
        return f"channel {self.name}: {what}" if self.name else what


def _again(error: ChannelError) -> ChannelError:
    """A new object to raise: a traceback grows with every raise."""
    fresh = type(error)(*error.args)
    fresh.__cause__ = error.__cause__
    return fresh
