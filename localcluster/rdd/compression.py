"""Compressed text files: which file name means which compression, and which Hadoop codec that is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from protocol.errors import ConfigurationError, PySparkNotImplementedError
from storage import os_layer

DAMAGE = (EOFError, zlib.error, lzma.LZMAError)
"""What decompressors raise, besides OSErrors, for a file that is damaged or cut."""

_PACKAGE = "org.apache.hadoop.io.compress"
_UNREADABLE = (".snappy", ".lz4", ".zst")
_CODECS = {"GzipCodec": ".gz", "BZip2Codec": ".bz2", "DefaultCodec": ".deflate", "DeflateCodec": ".deflate"}
_READERS: dict[str, Callable[[str, str], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_WRITERS: dict[str, Callable[[str, BinaryIO], Any]] = {
    ".gz": lambda path, file: gzip.GzipFile(path, "wb", fileobj=file),
    ".bz2": lambda path, file: bz2.BZ2File(file, "wb"),
    ".deflate": lambda path, file: _DeflateWriter(file),
}


def codec_extension(codec: str | None) -> str:
    """The file name extension of a Hadoop codec class (``org.apache.hadoop.io.compress.GzipCodec``); "" for None or "".

    Raises ConfigurationError (a ValueError) for a codec that there is not.
    """
    if not codec:
        return ""
    package, _, name = codec.rpartition(".")
    if package != _PACKAGE or name not in _CODECS:
        raise ConfigurationError(f"no compression codec {codec!r}; there are {', '.join(_CODECS)} in {_PACKAGE}")
    return _CODECS[name]


def is_compressed(path: str) -> bool:
    """Whether the name says so, in any case of letters."""
    return _extension(path) in (*_READERS, ".deflate", *_UNREADABLE)


def is_splittable(path: str) -> bool:
    """Whether Hadoop cuts such a compressed file, so that it counts as several partitions. Here its first range has all
    of it, since Python's decompressor cannot begin in the middle.
    """
    return _extension(path) == ".bz2"


def open_compressed(path: str) -> BinaryIO:
    """What the file holds, decompressed as it is read. Raises PySparkNotImplementedError for a format that Hadoop reads
    and Python does not; reading raises one of DAMAGE, or an OSError, where the file is damaged.
    """
    extension = _extension(path)
    if extension in _UNREADABLE:
        raise PySparkNotImplementedError(f"{path}: there is no decompressor for {extension} files; use .gz or .bz2")
    if extension == ".deflate":
        return io.BufferedReader(_DeflateReader(path))
    return cast(BinaryIO, _READERS[extension](path, "rb"))


@contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """A new file to write to, compressed as its extension says."""
    with os_layer.open_output(path) as file:
        if not (extension := _extension(path)):
            yield file
            return
        with _WRITERS[extension](path, file) as compressed:
            yield compressed


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()


class _DeflateReader(io.RawIOBase):
    """The content of a zlib stream."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - closed in close()
        self._decompressor = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._decompressor.eof:
            piece = self._decompressor.unconsumed_tail or self._file.read(io.DEFAULT_BUFFER_SIZE)
            if data := self._decompressor.decompress(piece, len(buffer)):
                buffer[: len(data)] = data
                return len(data)
            if not piece:
                raise EOFError("the file ends before its zlib stream does")
        return 0

    def close(self) -> None:
        self._file.close()
        super().close()


class _DeflateWriter(io.RawIOBase):
    """A zlib stream: what Hadoop's DefaultCodec writes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._compressor = zlib.compressobj()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._file.write(self._compressor.compress(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.write(self._compressor.flush())
        super().close()
