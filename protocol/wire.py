"""Frames: the unit that travels in a channel, and its bytes. ``docs/wire-format.md`` has the layout with an example.

Covers packing, checking and unpacking of frames and the pickling of what they carry. Does not cover reading and writing
of descriptors (`protocol.channel`) nor what the kinds mean to each other (`protocol.endpoint`).
"""

from __future__ import annotations

import pickle
import struct
import zlib
from enum import IntEnum
from typing import Any, NamedTuple

from protocol import by_value
from protocol.errors import FrameError, SerializationError

MAGIC = b"Lc"
VERSION = 2
MAX_FRAME = 128 << 20  # bytes of payload, as spark.rpc.message.maxSize: a task may have to read thousands of files

_HEAD = struct.Struct("!2sBBIQQ")  # magic, version, kind, payload length, correlation, number
_CHECKSUMS = struct.Struct("!II")  # crc32 of the head, crc32 of the payload
# The head has a checksum of its own: with a garbled length the stream would wait for bytes that never come.
HEADER_SIZE = _HEAD.size + _CHECKSUMS.size


class Kind(IntEnum):
    """What a frame is. The correlation of ASK, REPLY and ERROR says which ask; it is 0 elsewhere."""

    TELL = 1  # one message, no answer expected
    ASK = 2  # one message, answered by a REPLY or an ERROR of the same correlation
    REPLY = 3  # the answer's value
    ERROR = 4  # the answer is an exception: see protocol.error_frames
    BATCH = 5  # a list of messages, as if each had been told
    GOODBYE = 6  # the sender closes the channel and nothing follows; payload: text, why, if it cannot go on
    COUNT = 7  # no payload; its number is how many frames were sent so far, and it takes none itself


_KINDS = {int(kind): kind for kind in Kind}  # {byte: kind}; a look-up here costs a fifth of Kind(byte)


class Frame(NamedTuple):
    kind: Kind
    correlation: int = 0
    payload: bytes = b""


def encode(frames: tuple[Frame, ...], number: int = 0) -> bytes:
    """The bytes of the frames, end to end; ``number`` is the first one's."""
    pieces: list[bytes] = []
    for kind, correlation, payload in frames:
        head = _HEAD.pack(MAGIC, VERSION, kind, len(payload), correlation, number)
        pieces += (head, _CHECKSUMS.pack(zlib.crc32(head), zlib.crc32(payload)), payload)
        number += 1
    return b"".join(pieces)


class FrameDecoder:
    """Cuts a stream of bytes into frames, however the stream was cut into reads.

    Holds at most one unfinished frame besides the bytes last fed: a length over ``max_frame`` is refused when its
    header is read. Once garbage was met, every later `next_frame` raises: a stream has no place to start again. What
    the numbers say is not its affair: see `protocol.inbound`. ``drops_garbled``: a frame whose payload is garbled is as
    good as lost, since its head says where the next one starts.
    """

    def __init__(self, max_frame: int = MAX_FRAME, drops_garbled: bool = False) -> None:
        self._max_frame = max_frame  # bytes of payload
        self._drops_garbled = drops_garbled
        self._buffer = b""
        self._position = 0  # bytes of the buffer that were handed out as frames
        self._later = bytearray()  # fed after the buffer; joined to it only when that completes a frame
        self._held = 0  # bytes in the buffer from position on, and later
        self._wanted = HEADER_SIZE  # bytes to hold before it is worth looking again

    def feed(self, data: bytes) -> None:
        """Take in what was read from the stream."""
        if self._held:
            self._later += data
        else:
            self._buffer, self._position = data, 0
        self._held += len(data)

    def next_frame(self) -> tuple[int, Frame] | None:
        """The next complete frame with its number, or None until more is fed. Raises FrameError."""
        while self._held >= self._wanted:
            if self._later:
                self._buffer, self._position = self._buffer[self._position :] + self._later, 0
                self._later.clear()
            kind, length, correlation, number, checksum = self._head()
            if self._held < HEADER_SIZE + length:
                self._wanted = HEADER_SIZE + length
                return None
            start = self._position + HEADER_SIZE
            payload = self._buffer[start : start + length]
            is_garbled = zlib.crc32(payload) != checksum
            if is_garbled and not self._drops_garbled:
                raise FrameError(f"garbled frame: the checksum of its {length} bytes is wrong")
            self._position = start + length
            self._held -= HEADER_SIZE + length
            self._wanted = HEADER_SIZE
            if not is_garbled:
                return number, Frame(kind, correlation, payload)
        return None

    def _head(self) -> tuple[Kind, int, int, int, int]:
        """Kind, payload's length, correlation, number, payload's checksum. Raises FrameError."""
        head = self._buffer[self._position : self._position + HEADER_SIZE]
        magic, version, kind, length, correlation, number = _HEAD.unpack_from(head)
        of_head, of_payload = _CHECKSUMS.unpack_from(head, _HEAD.size)
        if magic != MAGIC:
            raise FrameError(f"garbled frame: it starts with {magic!r}, not {MAGIC!r}")
        if version != VERSION:
            raise FrameError(f"frame of protocol version {version}; this side speaks {VERSION}")
        if zlib.crc32(head[: _HEAD.size]) != of_head:
            raise FrameError("garbled frame: the checksum of its head is wrong")
        if length > self._max_frame:
            raise FrameError(f"oversized frame: {length} bytes, the limit is {self._max_frame}")
        if kind not in _KINDS:
            raise FrameError(f"frame of unknown kind {kind}")
        return _KINDS[kind], length, correlation, number, of_payload

    def finish(self) -> None:
        """The stream has ended. Raises FrameError if it ended inside a frame."""
        if self._held:
            raise FrameError(f"truncated frame: the stream ended {self._held} bytes into it")


def dumps(value: Any) -> bytes:
    """Pickle, by value where pickle itself cannot. Raises SerializationError, which names the value."""
    try:
        return pickle.dumps(value, protocol=5)
    except KeyboardInterrupt:  # Ctrl-C
        raise
    except BaseException:  # a __reduce__ may raise anything; what cannot be done by value is reported with its reason
        try:
            return by_value.dumps(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise SerializationError(f"cannot pickle {describe(value)}: {error}") from error


def loads(payload: bytes) -> Any:
    """Undo `dumps`. Raises SerializationError."""
    try:
        return pickle.loads(payload)
    except KeyboardInterrupt:  # Ctrl-C
        raise
    except BaseException as error:
        raise SerializationError(f"cannot unpickle {len(payload)} bytes: {type(error).__name__}: {error}") from error


def describe(value: Any) -> str:
    """A short text that names a value in an error message."""
    try:
        text = repr(value)
    except BaseException as error:
        text = f"(its repr raises {type(error).__name__})"
    return f"{type(value).__name__} {text if len(text) <= 200 else text[:200] + '…'}"
