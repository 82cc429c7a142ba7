"""The frames in which PySpark's serializers write objects to a stream: a length, big-endian, then so many bytes.

Covers the numbers of a stream and the base classes of all serializers; what the bytes mean is `encodings`' business.
Nothing inside localcluster stores this format: it is for programs that read and write it themselves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

MAX_FRAME = 1 << 31  # bytes: what a length of 4 bytes can announce


class SpecialLengths:
    """What a negative length says in place of announcing bytes."""

    END_OF_DATA_SECTION = -1
    PYTHON_EXCEPTION_THROWN = -2
    TIMING_DATA = -3
    END_OF_STREAM = -4
    NULL = -5
    START_ARROW_STREAM = -6
    START_OF_INIT_MESSAGE = -8


def read_long(stream: BinaryIO) -> int:
    """A signed number of 8 bytes. Raises EOFError where the stream has ended, struct.error where it ends in the middle
    of the number; so do `read_int` and `read_bool`.
    """
    number: int = _read(stream, "!q")
    return number


def read_int(stream: BinaryIO) -> int:
    """A signed number of 4 bytes."""
    number: int = _read(stream, "!i")
    return number


def read_bool(stream: BinaryIO) -> bool:
    """A byte that is 0 or 1."""
    flag: bool = _read(stream, "!?")
    return flag


def _read(stream: BinaryIO, format: str) -> Any:
    data = stream.read(struct.calcsize(format))
    if not data:
        raise EOFError
    return struct.unpack(format, data)[0]


def pack_long(value: int) -> bytes:
    """The 8 bytes that `write_long` writes."""
    return struct.pack("!q", value)


def write_long(value: int, stream: BinaryIO) -> None:
    stream.write(pack_long(value))


def write_int(value: int, stream: BinaryIO) -> None:
    stream.write(struct.pack("!i", value))


def write_with_length(obj: bytes, stream: BinaryIO) -> None:
    """The number of bytes, then the bytes. Raises ValueError when they are too many for that number."""
    if len(obj) >= MAX_FRAME:
        raise ValueError("can not serialize object larger than 2G")
    write_int(len(obj), stream)
    stream.write(obj)


class Serializer:
    """Writes records to a stream and reads them back. Two are equal if each reads what the other writes."""

    def dump_stream(self, iterator: Iterable[Any], stream: BinaryIO) -> None:
        """Write the records of an iterator."""
        raise NotImplementedError

    def load_stream(self, stream: BinaryIO) -> Iterator[Any]:
        """The records of a stream, up to its end."""
        raise NotImplementedError

    def dumps(self, obj: Any) -> bytes:
        """The bytes of one object; under a serializer of batches, of a list of records."""
        raise NotImplementedError

    def _load_stream_without_unbatching(self, stream: BinaryIO) -> Iterator[Iterable[Any]]:
        """The batches of a stream; here, each record is one."""
        return ([record] for record in self.load_stream(stream))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class FramedSerializer(Serializer):
    """Writes each object as its length, 4 bytes, and its bytes. Subclasses say what the bytes are.

    >>> import io
    >>> stream = io.BytesIO()
    >>> MarshalSerializer().dump_stream([1, "a"], stream)
    >>> _ = stream.seek(0)
    >>> list(MarshalSerializer().load_stream(stream))
    [1, 'a']
    """

    def loads(self, obj: bytes) -> Any:
        """The object that `dumps` made these bytes of."""
        raise NotImplementedError

    def dump_stream(self, iterator: Iterable[Any], stream: BinaryIO) -> None:
        for obj in iterator:
            self._write_with_length(obj, stream)

    def load_stream(self, stream: BinaryIO) -> Iterator[Any]:
        while True:
            try:
                obj = self._read_with_length(stream)
            except EOFError:
                return
            yield obj

    def _write_with_length(self, obj: Any, stream: BinaryIO) -> None:
        serialized = self.dumps(obj)
        if serialized is None:
            raise ValueError("serialized value should not be None")
        write_with_length(serialized, stream)

    def _read_with_length(self, stream: BinaryIO) -> Any:
        """The next object; None where the stream has a null. Raises EOFError at the end, or where it was cut off."""
        length = read_int(stream)
        if length == SpecialLengths.END_OF_DATA_SECTION:
            raise EOFError
        if length == SpecialLengths.NULL:
            return None
        data = stream.read(length)
        if len(data) < length:
            raise EOFError
        return self.loads(data)
