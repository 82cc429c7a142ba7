"""What bytes PySpark's serializers make of an object. Streams are in `framing`, batches in `batching`."""

from __future__ import annotations

import marshal
import pickle
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from localcluster.serializers.framing import FramedSerializer, Serializer, SpecialLengths, read_int
from protocol import by_value
from protocol.errors import SerializationError

pickle_protocol = pickle.HIGHEST_PROTOCOL


class NoOpSerializer(FramedSerializer):
    """For what is bytes already."""

    def dumps(self, obj: Any) -> bytes:
        data: bytes = obj
        return data

    def loads(self, obj: bytes) -> Any:
        return obj


class PickleSerializer(FramedSerializer):
    """Plain pickle: classes and functions by their names."""

    def dumps(self, obj: Any) -> bytes:
        return pickle.dumps(obj, pickle_protocol)

    def loads(self, obj: bytes, encoding: str = "bytes") -> Any:
        return pickle.loads(obj, encoding=encoding)


class CloudPickleSerializer(FramedSerializer):
    """Cloudpickle, PySpark's default: takes lambdas, and classes of ``__main__`` such as a script's namedtuples."""

    def dumps(self, obj: Any) -> bytes:
        """Raises SerializationError, a PicklingError."""
        try:
            return by_value.dumps(obj, pickle_protocol)
        except pickle.PickleError:
            raise
        except Exception as error:
            raise SerializationError(f"Could not serialize object: {type(error).__name__}: {error}") from error

    def loads(self, obj: bytes, encoding: str = "bytes") -> Any:
        return pickle.loads(obj, encoding=encoding)


CPickleSerializer = CloudPickleSerializer


class MarshalSerializer(FramedSerializer):
    """Marshal: fast, for builtin types only; ValueError for others.

    As in PySpark, everything that exports a buffer (numpy's arrays and numbers, bytearray) comes back as bytes.
    """

    def dumps(self, obj: Any) -> bytes:
        return marshal.dumps(obj)

    def loads(self, obj: bytes) -> Any:
        return marshal.loads(obj)


class AutoSerializer(FramedSerializer):
    """Marshal until it meets an object that marshal refuses, pickle from then on."""

    def __init__(self) -> None:
        self._type: bytes | None = None

    def dumps(self, obj: Any) -> bytes:
        if self._type is None:
            try:
                return b"M" + marshal.dumps(obj)
            except ValueError:
                self._type = b"P"
        return b"P" + pickle.dumps(obj, pickle_protocol)

    def loads(self, obj: bytes) -> Any:
        kind, data = obj[:1], memoryview(obj)[1:]
        if kind == b"M":
            return marshal.loads(data)
        if kind == b"P":
            return pickle.loads(data)
        raise ValueError(f"invalid serialization type: {kind!r}")


class CompressedSerializer(FramedSerializer):
    """Another serializer's bytes, compressed with zlib at its fastest."""

    def __init__(self, serializer: FramedSerializer) -> None:
        assert isinstance(serializer, FramedSerializer), "serializer must be a FramedSerializer"
        self.serializer = serializer

    def dumps(self, obj: Any) -> bytes:
        return zlib.compress(self.serializer.dumps(obj), 1)

    def loads(self, obj: bytes) -> Any:
        return self.serializer.loads(zlib.decompress(obj))

    def __repr__(self) -> str:
        return f"CompressedSerializer({self.serializer})"


class UTF8Deserializer(Serializer):
    """Reads texts, each after its length in bytes; as bytes without ``use_unicode``."""

    def __init__(self, use_unicode: bool = True) -> None:
        self.use_unicode = use_unicode

    def loads(self, stream: BinaryIO) -> str | bytes | None:
        """The next text of a stream; None where it has a null. Raises EOFError at the end."""
        length = read_int(stream)
        if length == SpecialLengths.END_OF_DATA_SECTION:
            raise EOFError
        if length == SpecialLengths.NULL:
            return None
        data = stream.read(length)
        return data.decode("utf-8") if self.use_unicode else data

    def load_stream(self, stream: BinaryIO) -> Iterator[Any]:
        while True:
            try:
                text = self.loads(stream)
            except (EOFError, struct.error):  # the latter: cut off within a length
                return
            yield text

    def __repr__(self) -> str:
        return f"UTF8Deserializer({self.use_unicode})"
