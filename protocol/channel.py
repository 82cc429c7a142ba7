"""A channel: frames over one duplex ``multiprocess`` Pipe, with an error of its own for each way it can end.

Covers reading, writing and closing. `protocol.wire` has the bytes of a frame, `protocol.outbound` and
`protocol.inbound` have what is done to frames before and after they travel, `protocol.endpoint` asks and answers. A
duplex Pipe is a pair of connected stream sockets; the channel frames it itself instead of with the Connection's
``send_bytes``, so that one read takes in many frames, one write puts out many, and a write can be left half done.

The descriptor is non-blocking on both sides. A blocking side waits in ``poll``; a *buffered* side (the driver, which
must not wait for an executor that is stopped) keeps what does not fit and writes it when its event loop calls `flush`.
"""

from __future__ import annotations

import logging
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

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
from protocol.wire import MAX_FRAME, Frame, Kind

log = logging.getLogger(__name__)

READ_SIZE = 64 << 10  # bytes taken in by one read
READS_AT_ONCE = 16  # reads by one receive_ready, so that a peer that never stops cannot keep the event loop to itself
GOODBYE_TIMEOUT = 0.5  # seconds that close waits for a peer that does not read


class ConnectionLike(Protocol):
    """A ``multiprocess.connection.Connection`` of a duplex Pipe, or a connected stream socket."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


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
        self._connection = connection
        self._fd = connection.fileno()
        self._max_frame = max_frame
        self._close_lock = free_in_forks(threading.Lock())
        self._closed = False  # close_lock; set together with both failures below
        self._receive_lock = free_in_forks(threading.Lock())
        self._sequence: Sequence[Frame] = Sequence()  # each half under its lock
        self._inbound = Inbound(self._sequence, max_frame, resends)  # receive_lock, as the next three
        self._end: ChannelError | None = None  # how the stream ended, for when no frame is left
        self._failure: ChannelError | None = None  # why nothing more can be received
        self._bytes_received = 0
        self._send_lock = free_in_forks(threading.Lock())
        self._outbound = Outbound(self._sequence, resends)  # send_lock, as the next two
        self._send_failure: ChannelError | None = None  # why nothing more can be sent
        self._bytes_sent = 0
        os.set_blocking(self._fd, False)
        self._readable = select.poll()  # receive_lock: a poll object serves one thread at a time
        self._readable.register(self._fd, select.POLLIN)
        self._writable = select.poll()  # send_lock
        self._writable.register(self._fd, select.POLLOUT)
        disown_in_forks(self)

    def fileno(self) -> int:
        """The descriptor, for a selector. Raises ClosedChannelError when closed: unregister before that."""
        if self._closed:
            raise ClosedChannelError(self._text("closed by this side"))
        return self._fd

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
            if len(frame.payload) > self._max_frame:
                raise FrameTooLargeError(
                    self._text(f"{len(frame.payload)} bytes do not fit a frame of {self._max_frame}")
                )
        deadline = _deadline(timeout)
        if not self._send_lock.acquire(timeout=-1 if timeout is None else timeout):
            raise AskTimeoutError(self._text(f"other senders waited for {timeout} s"))
        try:
            if self._send_failure is not None:
                raise _again(self._send_failure)
            was_empty = not self._outbound.backlog
            size = self._outbound.add(frames, fate)  # under the lock, so that numbers go out in their order
            self._write()
            if not self.buffered:
                self._write_rest(size, len(frames), deadline)
            stays_behind = was_empty and bool(self._outbound.backlog)
        finally:
            self._send_lock.release()
        if stays_behind and self.on_backlog is not None:
            self.on_backlog()  # outside the lock: it wakes an event loop that will want to flush

    def flush(self) -> bool:
        """Write what the socket takes now; True when nothing stays behind. Raises as `send` does."""
        with self._send_lock:
            if self._send_failure is not None:
                raise _again(self._send_failure)
            self._write()
            return not self._outbound.backlog

    @property
    def wants_write(self) -> bool:
        """Whether bytes stay behind: watch the descriptor for writing and call `flush`."""
        return bool(self._outbound.backlog)

    def announce(self, now: float) -> None:
        """Tell the peer how many frames were sent, if it was not told since, at most once in a second or so. ``now`` is
        ``time.monotonic()``. Never waits and never raises: a failure is for who sends.

        Whoever keeps the time of this side calls it; a thread that waits for an answer does, too.
        """
        if not self._outbound.has_news(now) or not self._send_lock.acquire(blocking=False):
            return  # a sender that is at it will call again
        try:
            if self._send_failure is None and (self.buffered or self._writable.poll(0)):
                self._outbound.announce(now)
                self._write()
        except ChannelError as error:
            log.debug("%s", error)
        finally:
            self._send_lock.release()

    def _write_rest(self, size: int, frames: int, deadline: float | None) -> None:
        """Blocking side: wait until the last ``size`` bytes of the outbound are out, which are so many frames. On a
        failure none of them stay.
        """
        while self._outbound.backlog:
            if self._writable.poll(_milliseconds(deadline)):
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
        backlog = self._outbound.backlog
        while backlog:
            try:
                written = os.write(self._fd, backlog)
            except BlockingIOError:
                return
            except OSError as error:  # EPIPE, ECONNRESET; what the peer sent before can still be received
                backlog.clear()
                if self._send_failure is None:  # else this side closed meanwhile
                    self._send_failure = BrokenChannelError(self._text(f"the peer is gone ({error.strerror})"))
                raise _again(self._send_failure) from error
            self._bytes_sent += written
            del backlog[:written]

    # --- receiving ---

    def receive(self, timeout: float | None = None) -> Frame:
        """The next frame, waiting up to ``timeout`` seconds (None: while the peer lives).

        Raises EndOfChannel after the peer's goodbye, BrokenChannelError when it went without, FrameError for bytes that
        are no frame and for a frame that was lost, here or at the peer (these three stay: nothing can be received any
        more), ClosedChannelError on our own close, even while waiting, and AskTimeoutError when nothing came in time.
        """
        deadline = _deadline(timeout)
        with self._receive_lock:
            while True:
                frame = self._next_frame()
                if frame is not None:
                    return frame
                lost_at = self._give_up_gap(time.monotonic())
                until = lost_at if lost_at is not None and (deadline is None or lost_at < deadline) else deadline
                if self._readable.poll(_milliseconds(until)):
                    self._read()
                elif until == deadline:
                    raise AskTimeoutError(self._text(f"nothing came for {timeout} s"))

    def receive_ready(self) -> list[Frame]:
        """All frames that are here now, without waiting; [] if none. Raises as `receive` does, but only when no frame
        is left.

        An end or a failure behind the frames makes the descriptor readable again, so that the next call reports it.
        """
        frames: list[Frame] = []
        with self._receive_lock:
            if self._failure is not None:
                raise _again(self._failure)
            for _ in range(READS_AT_ONCE):
                drained = self._read() < READ_SIZE
                try:
                    while (frame := self._next_frame()) is not None:
                        frames.append(frame)
                except ChannelError:
                    if not frames:
                        raise
                    break
                if drained:
                    break
        return frames

    def expire(self, now: float) -> None:
        """A frame that has been missing for too long breaks the channel. ``now`` is ``time.monotonic()``.

        For the event loop of a side that reads with `receive_ready`, which hears of it by the next of those.
        """
        with self._receive_lock:
            try:
                self._give_up_gap(now)
            except FrameError as lost:
                log.debug("%s", lost)

    def _give_up_gap(self, now: float) -> float | None:
        """When the frame that is missing now will count as lost, if one is. Raises FrameError when it does by now."""
        lost_at = self._inbound.given_up_at(now)
        if lost_at is not None and lost_at <= now and self._failure is None:
            error = FrameError(self._text(str(self._inbound.loss())))
            self.fail(error)
            raise error
        return lost_at

    def fail(self, error: ChannelError) -> None:
        """What came through is unusable: later receives and sends raise ``error``; the peer sees a broken channel, and
        is told why if that is a FrameError.
        """
        with self._close_lock:
            if not self._closed:
                if isinstance(error, FrameError) and self._send_lock.acquire(blocking=False):
                    self._complain(str(error))
                self._failure = self._send_failure = error
                self._shut_down()

    def _complain(self, why: str) -> None:
        """A last goodbye, if the socket takes it now. Releases the send lock."""
        try:
            self._outbound.add_goodbye(why.encode())
            self._write()
        except ChannelError as error:
            log.debug("%s", error)
        finally:
            self._send_lock.release()

    def _next_frame(self) -> Frame | None:
        if self._failure is not None:
            raise _again(self._failure)
        try:
            frame = self._inbound.next_frame()
        except FrameError as garbled:
            error = FrameError(self._text(str(garbled)))
            self.fail(error)
            raise error from None
        if frame is None:
            if self._end is not None:
                raise _again(self._end)
            return None
        if frame.kind is Kind.GOODBYE:
            why = frame.payload.decode(errors="replace")
            closed = EndOfChannel(self._text("closed by the peer"))
            self._failure = self._failure or (FrameError(self._text(f"the peer gave up: {why}")) if why else closed)
            raise _again(self._failure)
        return frame

    def _read(self) -> int:
        """Feed the decoder one read's bytes and return their number: 0 at the end, or when there are none."""
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return 0
        except OSError as error:  # ECONNRESET: the peer went without reading all that we sent
            self._end = BrokenChannelError(self._text(f"the peer is gone ({error.strerror})"))
            return 0
        if data:
            self._bytes_received += len(data)
            self._inbound.feed(data)
        elif self._end is None:
            self._end = BrokenChannelError(self._text(self._inbound.how_it_ended()))
        return len(data)

    # --- the end ---

    def close(self, timeout: float = GOODBYE_TIMEOUT) -> None:
        """Send what stays behind and a goodbye, waiting up to ``timeout`` seconds for a peer that does not read; then
        `abort`.

        Never raises: a peer that is gone needs no goodbye.
        """
        if self._begin_close():
            self._say_goodbye(timeout)
            self._finish_close()

    def abort(self) -> None:
        """Close without a goodbye and without waiting; threads that wait in send or receive get ClosedChannelError."""
        if self._begin_close():
            self._finish_close()

    def disown(self) -> None:
        """In a forked process, whose copy ends here: sending and receiving raise ForkedChannelError."""
        text = self._text(f"process {os.getpid()} was forked from the one that it belongs to")
        self._failure = self._send_failure = ForkedChannelError(text)
        self._closed = True
        self._connection.close()  # without a shutdown, which would end the parent's stream

    def _begin_close(self) -> bool:
        with self._close_lock:
            if self._closed:
                return False
            self._closed = True
            self._failure = self._send_failure = ClosedChannelError(self._text("closed by this side"))
            return True

    def _say_goodbye(self, timeout: float) -> None:
        deadline = _deadline(timeout)
        if not self._send_lock.acquire(timeout=timeout):
            return  # a sender is stuck, so the peer does not read
        try:
            self._outbound.add_goodbye()
            while self._outbound.backlog and self._writable.poll(_milliseconds(deadline)):
                self._write()
        except ChannelError as error:
            log.debug("no goodbye: %s", error)
        finally:
            self._send_lock.release()

    def _finish_close(self) -> None:
        self._shut_down()
        # The locks wait for whoever is inside read, write or poll and was just woken: the number of a closed descriptor
        # may at once belong to another file.
        with self._receive_lock, self._send_lock:
            self._connection.close()

    def _shut_down(self) -> None:
        """End the stream both ways. Closing alone would not wake a thread that waits in poll."""
        stream = socket.socket(fileno=self._fd)
        try:
            stream.shutdown(socket.SHUT_RDWR)
        except OSError as error:  # ENOTCONN, where the peer's end is closed already (macOS)
            log.debug("%s", self._text(str(error)))
        finally:
            stream.detach()  # the descriptor stays the connection's

    def statistics(self) -> ChannelStatistics:
        sequence = self._sequence
        return ChannelStatistics(
            frames_sent=sequence.sent,
            frames_received=sequence.due,
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
            backlog=len(self._outbound.backlog),
            doubled=sequence.doubled,
            early=sequence.early,
        )

    def _text(self, what: str) -> str:
        return f"channel {self.name}: {what}" if self.name else what


def _again(error: ChannelError) -> ChannelError:
    """A new object to raise: a traceback grows with every raise."""
    fresh = type(error)(*error.args)
    fresh.__cause__ = error.__cause__
    return fresh


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _milliseconds(deadline: float | None) -> int | None:
    """Time left as ``poll`` wants it; rounded up, so that it does not return too early again and again."""
    return None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
