"""The format of ``saveAsPickleFile``: a file of pickled batches that can be read in parts.

Not Hadoop's SequenceFile, in which PySpark puts its batches. The layout, numbers little-endian::

    MAGIC | batch … batch | offsets of batches (u64) | offset of these (u64) | CRC of offsets (u32) | MAGIC
    batch = length of the payload (u32) | CRC of the payload (u32) | payload, a pickled list

The offsets name the batches at which reading may begin, one about every STRIDE bytes. A range of bytes owns the batches
from the first such offset in it to the first one behind it. The CRCs are zlib's. Any Python version reads what another
wrote, where it has the classes of the records.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from localcluster.rdd.input_paths import file_uri
from localcluster.rdd.reading import open_input
from localcluster.serializers import CPickleSerializer
from protocol.errors import DamagedFileError, SerializationError
from storage.own_arrays import load_own

MAGIC = b"lcpickl1"
STRIDE = 16 << 10  # bytes
LARGE_BATCH = 64 << 10  # bytes; batches of no given size grow until they are as large
_HEAD = struct.Struct("<II")  # length and CRC of a payload
_OFFSET = struct.Struct("<Q")
_TAIL = struct.Struct(f"<QI{len(MAGIC)}s")  # offset of the offsets, CRC of all of them, MAGIC
_SERIALIZER = CPickleSerializer()


def write_pickles(file: BinaryIO, records: Iterable[Any], batch_size: int) -> None:
    """Write all records, in batches of ``batch_size``; 0: of a size that suits them, below 0: in one batch.

    Raises SerializationError for a record that cannot be pickled.
    """
    remaining = iter(records)
    offsets: list[int] = []
    position = file.write(MAGIC)
    size = batch_size or 1
    while batch := list(islice(remaining, size if size > 0 else None)):
        payload = _SERIALIZER.dumps(batch)
        if len(payload) >= 1 << 32:
            raise SerializationError(f"a batch of {len(batch)} records takes {len(payload)} bytes; choose smaller ones")
        if not offsets or position - offsets[-1] >= STRIDE:
            offsets.append(position)
        position += file.write(_HEAD.pack(len(payload), zlib.crc32(payload))) + file.write(payload)
        if batch_size == 0 and len(payload) < LARGE_BATCH:
            size *= 2
    table = b"".join(map(_OFFSET.pack, offsets))
    file.write(table + _TAIL.pack(position, zlib.crc32(table + _OFFSET.pack(position)), MAGIC))


def read_pickles(path: str, start: int, length: int) -> Iterator[Any]:
    """The records that a range of bytes owns. Raises DamagedFileError for a file of another kind or a damaged one,
    FileGoneError if there is none any more.
    """
    with open_input(path) as file:
        offsets = _offsets(file, path)  # the last one is the end of the batches
        first = bisect_left(offsets, start, hi=len(offsets) - 1)
        after = bisect_left(offsets, start + length, hi=len(offsets) - 1)
        position, end = offsets[first], offsets[after]
        file.seek(position)
        while position < end:
            size, crc = _HEAD.unpack(file.read(_HEAD.size))
            position += _HEAD.size + size
            payload = file.read(size) if position <= end else b""  # a damaged length may be larger than memory
            if position > end or zlib.crc32(payload) != crc:
                raise DamagedFileError(f"{file_uri(path)} is damaged")
            yield from load_own(payload)


def _offsets(file: BinaryIO, path: str) -> list[int]:
    size = os.fstat(file.fileno()).st_size
    if size >= len(MAGIC) + _TAIL.size and file.read(len(MAGIC)) == MAGIC:
        file.seek(size - _TAIL.size)
        end, crc, magic = _TAIL.unpack(file.read(_TAIL.size))
        if magic == MAGIC and len(MAGIC) <= end <= size - _TAIL.size:
            file.seek(end)
            table = file.read(size - _TAIL.size - end)
            if zlib.crc32(table + _OFFSET.pack(end)) == crc:
                return [offset for (offset,) in _OFFSET.iter_unpack(table)] + [end]
    raise DamagedFileError(f"{file_uri(path)} is not a pickle file of localcluster, or not all of one")
