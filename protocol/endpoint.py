"""An endpoint: messages over a channel, told or asked, with a deadline for every answer.

On each channel one side asks and the other answers; both may tell. The asking side uses either `Endpoint.ask`, which
waits in the calling thread (executors: a task thread sends and receives itself, with no hand-over between threads), or
`Endpoint.ask_async`, whose answer comes through an event loop's `Endpoint.receive_ready` (the driver). The two do not
mix on one endpoint. Does not cover what messages mean: see `protocol.block_messages` and `protocol.cluster_messages`.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, ClassVar, NamedTuple

from protocol import outbound
from protocol.bad_wire import Fate
from protocol.channel import Channel
from protocol.error_frames import error_of_pair, error_pair, load_cause, remote_error
from protocol.errors import (
    AskTimeoutError,
    ChannelError,
    ClosedChannelError,
    FrameError,
    RemoteAskError,
    SerializationError,
)
from protocol.forks import free_in_forks
from protocol.hook import Hook, Hooks, Passing, Way
from protocol.wire import Frame, Kind, describe, dumps, loads

log = logging.getLogger(__name__)

BATCH_SIZE = 256 << 10  # bytes of pickled messages in one frame; a larger batch is told as several


class Reply:
    """Answers one ask, from any thread, once."""

    __slots__ = ("_asked", "_correlation", "_endpoint")

    def __init__(self, endpoint: Endpoint, correlation: int, asked: str = "") -> None:
        self._endpoint = endpoint
        self._correlation = correlation
        self._asked = asked  # class name of the message

    def __call__(self, value: Any) -> None:
        """Send the value. One that cannot be pickled, or is too large, reaches the asker as an error. Raises
        ChannelError.
        """
        try:
            self._send(Kind.REPLY, value)
        except (SerializationError, FrameError) as error:
            self.error(error)

    def error(self, error: BaseException) -> None:
        """Let the ask fail with a RemoteAskError caused by ``error``. Raises ChannelError."""
        self._send(Kind.ERROR, error_pair(error))

    def _send(self, kind: Kind, value: Any) -> None:
        endpoint = self._endpoint
        verdict = None
        if endpoint.hook is not None:
            verdict = endpoint._ask_hook(Way.OUT, kind, self._correlation, value, self._asked)
        if verdict is not True:
            endpoint.channel.send(Frame(kind, self._correlation, dumps(value)), fate=verdict or None)


class Incoming(NamedTuple):
    """A message received. ``reply`` is None when it was told."""

    message: Any
    reply: Reply | None = None


class _Pending(NamedTuple):
    future: Future[Any]
    deadline: float  # time.monotonic()
    what: str  # class name of the message asked


class Endpoint:
    """One end of a channel, which asks, tells and answers.

    Owns its channel. Thread-safe, but for receiving: `receive` and `receive_ready` are for one thread. ``clock()`` is
    in seconds, and is what the deadlines of `ask_async` are measured by.
    """

    hook: Hook | None = None
    """Sees every message that passes: see `protocol.hook`. The class's is for all that have none of their own; it is
    made of those that `set_common_hook` put there.
    """
    _common: ClassVar[dict[str, Hook]] = {}

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._correlations = itertools.count(1)
        self._lock = free_in_forks(threading.Lock())
        self._pending: dict[int, _Pending] = {}  # lock; {correlation: who waits}
        self._turn = free_in_forks(threading.Condition(threading.Lock()))
        self._someone_reads = False  # turn
        self._ready: deque[Incoming] = deque()  # from batches; what receive has not returned yet

    @classmethod
    def set_common_hook(cls, name: str, hook: Hook | None) -> None:
        """Have all endpoints that have no hook of their own show their messages to this one, beside those of other
        names; None takes the one of this name away.
        """
        common = {**cls._common, name: hook}
        cls._common = {name: each for name, each in common.items() if each is not None}
        cls.hook = Hooks(cls._common.values()) if cls._common else None

    @property
    def channel(self) -> Channel:
        return self._channel

    # --- sending ---

    def tell(self, *messages: Any, timeout: float | None = None) -> None:
        """Send messages that want no answer; several travel as one frame, or as few as BATCH_SIZE allows.

        A blocking channel waits up to ``timeout`` seconds (None: while the peer lives). Raises SerializationError or
        FrameError (nothing was sent: a message cannot be pickled, or is too large), and what `Channel.send` raises.
        """
        if self.hook is not None:
            judged = [(each, self._ask_hook(Way.OUT, Kind.TELL, 0, each)) for each in messages]
            self._tell_judged(judged, timeout)
        elif messages:
            self._channel.send(*_frames(messages), timeout=timeout)

    def _tell_judged(self, judged: Iterable[tuple[Any, bool | Fate | None]], timeout: float | None) -> None:
        """What befalls one message on the wire befalls a frame: so it gets one of its own."""
        passing = [(message, verdict or None) for message, verdict in judged if verdict is not True]
        for fate, group in itertools.groupby(passing, lambda pair: pair[1]):
            messages = tuple([message for message, _ in group])
            if fate is None:
                self._channel.send(*_frames(messages), timeout=timeout)
            else:
                for message in messages:
                    self._channel.send(*_frames((message,)), timeout=timeout, fate=fate)

    def ask(self, message: Any, timeout: float) -> Any:
        """The peer's answer. Any number of threads may ask at once: one of them reads for all.

        Raises AskTimeoutError after ``timeout`` seconds (the answer is dropped when it comes), RemoteAskError,
        SerializationError, and what `Channel.send` and `Channel.receive` raise; then every other ask fails with the
        same.
        """
        correlation, pending = self._send_ask(message, timeout)
        try:
            while not pending.future.done():
                self._read_or_wait(pending, timeout)
        finally:
            with self._lock:
                self._pending.pop(correlation, None)
        error = pending.future.exception()
        if isinstance(error, RemoteAskError):
            load_cause(error)
        return pending.future.result()

    def ask_async(self, message: Any, timeout: float) -> Future[Any]:
        """As `ask`, for an event loop: the future ends in `receive_ready`, `expire` or `fail_pending`, with the same
        errors, but without their cause: who wants that calls `load_cause`, in a thread that may wait.

        Raises what sending raises. The future cannot be cancelled.
        """
        return self._send_ask(message, timeout)[1].future

    def expire(self, now: float) -> None:
        """Fail the asks whose deadline is over, and the channel when a frame on it was lost; ``now`` is by the
        endpoint's clock. The event loop calls this in its rounds.
        """
        with self._lock:
            overdue = {key: pending for key, pending in self._pending.items() if pending.deadline <= now}
            for correlation in overdue:
                del self._pending[correlation]
        self._channel.announce(now)
        self._channel.expire(now)
        for pending in overdue.values():
            pending.future.set_exception(
                AskTimeoutError(f"{pending.what}: no answer in time from {self._channel.name}")
            )

    def fail_pending(self, error: ChannelError) -> None:
        """Fail every ask that waits for an answer: none can come any more."""
        with self._lock:
            waiting, self._pending = self._pending, {}
        for pending in waiting.values():
            failure = type(error)(*error.args)  # one object for each thread that will raise it
            failure.__cause__ = error
            pending.future.set_exception(failure)

    def _send_ask(self, message: Any, timeout: float) -> tuple[int, _Pending]:
        frame = Frame(Kind.ASK, next(self._correlations), dumps(message))
        pending = _Pending(Future(), self._clock() + timeout, type(message).__name__)
        pending.future.set_running_or_notify_cancel()
        with self._lock:
            self._pending[frame.correlation] = pending
        try:
            verdict = None if self.hook is None else self._ask_hook(Way.OUT, Kind.ASK, frame.correlation, message)
            if verdict is not True:
                self._channel.send(frame, timeout=timeout, fate=verdict or None)
        except BaseException:
            with self._lock:
                self._pending.pop(frame.correlation, None)
            raise
        return frame.correlation, pending

    # --- an asking thread: read for all, or wait while another one does ---

    def _read_or_wait(self, pending: _Pending, timeout: float) -> None:
        with self._turn:
            while self._someone_reads and not pending.future.done():
                if not self._turn.wait(pending.deadline - time.monotonic()):
                    raise AskTimeoutError(f"{pending.what}: no answer within {timeout} s from {self._channel.name}")
            if pending.future.done():
                return
            self._someone_reads = True
        try:
            # a failure of the channel stays: each asker that reads next meets it too
            self._read_answer(pending, timeout)
        finally:
            with self._turn:
                self._someone_reads = False
                self._turn.notify_all()

    def _read_answer(self, pending: _Pending, timeout: float) -> None:
        left = pending.deadline - time.monotonic()
        try:
            frame = self._channel.receive(max(0.0, min(left, outbound.ANNOUNCE_INTERVAL)))
        except AskTimeoutError:
            if left > outbound.ANNOUNCE_INTERVAL:
                self._channel.announce(time.monotonic())  # should the question be lost, the peer learns of it
                return
            raise AskTimeoutError(f"{pending.what}: no answer within {timeout} s from {self._channel.name}") from None
        if frame.kind not in (Kind.REPLY, Kind.ERROR):
            raise self._channel.refuse(f"{frame.kind.name} frame on the side that asks")
        self._settle(frame)

    def _settle(self, frame: Frame) -> None:
        if self.hook is not None and self._is_answer_lost(frame):
            return
        with self._lock:
            pending = self._pending.pop(frame.correlation, None)
        if pending is None:
            log.debug("dropped an answer that came after its deadline (%s)", self._channel.name)
            return
        try:
            value = loads(frame.payload)
        except SerializationError as error:
            pending.future.set_exception(remote_error(pending.what, f"the answer is unreadable: {error}", error))
            return
        if frame.kind is Kind.REPLY:
            pending.future.set_result(value)
        else:
            pending.future.set_exception(error_of_pair(pending.what, value))

    # --- receiving ---

    def receive(self, timeout: float | None = None) -> Incoming:
        """The next message, waiting up to ``timeout`` seconds (None: while the peer lives). Raises as `Channel.receive`
        does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            frame = self._channel.receive(left)
            try:
                self._ready.extend(self._unpack(frame))
            except ChannelError:
                if not self._ready:
                    raise  # else the channel has failed, and the next call raises
        return self._ready.popleft()

    def receive_ready(self) -> list[Incoming]:
        """The messages that are here now; ends the futures whose answers are. Never waits.

        Raises as `Channel.receive` does when nothing is left to return; then every pending ask has failed with the
        same.
        """
        try:
            frames = self._channel.receive_ready()
            incoming: list[Incoming] = []
            for frame in frames:
                try:
                    incoming.extend(self._unpack(frame))
                except ChannelError:
                    if not incoming:
                        raise
                    break  # the channel has failed, so its descriptor is readable and the next call raises
        except ChannelError as error:
            self.fail_pending(error)
            raise
        return incoming

    def _unpack(self, frame: Frame) -> Iterable[Incoming]:
        if frame.kind in (Kind.REPLY, Kind.ERROR):
            self._settle(frame)
            return ()
        try:
            value = loads(frame.payload)
        except SerializationError as error:
            if frame.kind is not Kind.ASK:
                raise self._channel.refuse(f"{frame.kind.name} frame: {error}") from error
            Reply(self, frame.correlation).error(error)
            return ()
        incoming: Iterable[Incoming]
        if frame.kind is Kind.ASK:
            incoming = (Incoming(value, Reply(self, frame.correlation, type(value).__name__)),)
        elif frame.kind is Kind.TELL:
            incoming = (Incoming(value),)
        elif isinstance(value, tuple):
            incoming = map(Incoming, value)
        else:
            raise self._channel.refuse(f"BATCH frame of {describe(value)}")
        return incoming if self.hook is None else self._let_in(frame, incoming)

    # --- the hook ---

    def _let_in(self, frame: Frame, arrived: Iterable[Incoming]) -> Iterator[Incoming]:
        kind = Kind.ASK if frame.kind is Kind.ASK else Kind.TELL
        for incoming in arrived:
            if self._ask_hook(Way.IN, kind, frame.correlation, incoming.message) is not True:
                yield incoming

    def _ask_hook(self, way: Way, kind: Kind, correlation: int, message: Any, asked: str = "") -> bool | Fate | None:
        hook = self.hook
        if hook is None:
            return None
        try:
            return hook(Passing(self._channel.name, way, kind, correlation, message, asked))
        except ChannelError as error:
            if way is Way.IN:
                self._channel.fail(error)
            raise

    def _is_answer_lost(self, frame: Frame) -> bool:
        try:
            value = loads(frame.payload)
        except SerializationError:
            return False  # the asker hears of it
        with self._lock:
            pending = self._pending.get(frame.correlation)
        asked = "" if pending is None else pending.what
        return self._ask_hook(Way.IN, frame.kind, frame.correlation, value, asked) is True

    # --- the channel's own ---

    def fileno(self) -> int:
        return self._channel.fileno()

    @property
    def wants_write(self) -> bool:
        return self._channel.wants_write

    def flush(self) -> bool:
        return self._channel.flush()

    def close(self) -> None:
        """Say goodbye and close; pending asks fail with ClosedChannelError."""
        self._channel.close()
        self.fail_pending(ClosedChannelError(f"channel {self._channel.name}: closed by this side"))

    def abort(self) -> None:
        """As `close`, without a goodbye and without waiting."""
        self._channel.abort()
        self.fail_pending(ClosedChannelError(f"channel {self._channel.name}: closed by this side"))


def _frames(messages: tuple[Any, ...]) -> list[Frame]:
    if len(messages) == 1:
        return [Frame(Kind.TELL, 0, dumps(messages[0]))]
    payload = dumps(messages)
    if len(payload) <= BATCH_SIZE:
        return [Frame(Kind.BATCH, 0, payload)]
    half = len(messages) // 2
    return _frames(messages[:half]) + _frames(messages[half:])
