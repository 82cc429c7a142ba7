"""The bytes of a block: a sequence of batches of records.

Covers writing and reading blocks and single objects. Where the bytes lie is the stores' business; which values marshal
can take is `storage.exact_types`; naming what cannot be pickled is `storage.unpicklable`.

A batch, little-endian, offsets relative to its start:

    header    32 bytes: magic, checksum of all from here to the batch's end, kind, flags, 6 zeros, number of records,
              number of buffers, payload length
    table     8 bytes per out-of-band buffer: its length
    payload   marshal or pickle of the list of records
    buffers   each at the next multiple of 64
    padding   zeros to the next multiple of 64

The checksum is the low half of XXH3-64: a pass of CRC-32 over arrays, which are read in place, would take ten times as
long as what is done with most. Version 1 had a CRC-32 that leaves out the buffers; checkpoints may have it, it is read.
Every batch is a multiple of 64 long, so blocks laid end to end are a block again, and a block that starts at a multiple
of 64 has its buffers there too. An empty block has no bytes.

Kinds: marshal when all values are exactly builtin, and none is too large for it; else pickle protocol 5; else, for what
plain pickle cannot take or would only take by a reference into ``__main__`` (executors have another ``__main__``),
pickle by value. Both pickles read the same. Objects that records of one batch share are shared after reading; across
batches they become several, as in PySpark. And bytes as they are, for what is no record: code, indices and tables.
"""

from __future__ import annotations

import marshal
import pickle
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from xxhash import xxh3_64, xxh3_64_intdigest

from protocol import by_value
from protocol.errors import CorruptBlockError, DeserializationError, LocalClusterError, SerializationError
from storage.exact_types import are_exact
from storage.own_arrays import in_place, load_own, load_read_only
from storage.unpicklable import explain_unpicklable

BytesLike: TypeAlias = bytes | bytearray | memoryview

ALIGNMENT = 64  # bytes
FIRST_BATCH = 1  # records of a stream: 128 unknown ones may be 128 large arrays
FIRST_HELD_BATCH = 128  # records of a block whose bytes are all held anyway
MAX_BATCH = 1 << 16  # records
TARGET_SIZE = 256 << 10  # bytes of a batch; measured on the batch before
MAX_GROWTH = 8  # from one batch to the next, since one small batch says little about the records to come
JOIN_BELOW = 32 << 10  # bytes; smaller pieces are copied together, larger ones handed on as they are

MAGIC = b"LCB2"
_MAGIC_1 = b"LCB1"
MARSHAL, PICKLE, BYTES = 1, 2, 3
SINGLE = 1  # flag: the batch holds one object that was not a record of an iterator

_MAGIC_AND_CHECKSUM = struct.Struct("<4sI")
_DESCRIPTION = struct.Struct("<BB6xIIQ")  # kind, flags, records, buffers, payload length
_HEADER_SIZE = _MAGIC_AND_CHECKSUM.size + _DESCRIPTION.size
_ZEROS = bytes(ALIGNMENT)
_LOW_HALF = 0xFFFFFFFF

Sink: TypeAlias = Callable[[BytesLike], object]


def serialize_stream(values: Iterable[Any], sink: Sink, batch_size: int = FIRST_BATCH) -> int:
    """Write the values batch by batch to ``sink``, called with pieces to be laid end to end; return their bytes.

    Never holds more than one batch of the values. ``batch_size`` is the number of records in the first batch. Pieces
    may be views of the values' own memory, so they must be copied before the values can change. Raises
    SerializationError, and whatever the iterable or the sink raises; what the sink has got by then is of no use.
    """
    iterator = iter(values)
    written = total = 0
    while records := list(islice(iterator, batch_size)):
        size = 0
        for piece in _write_batch(records, written):
            sink(piece)
            size += len(piece)
        written += len(records)
        total += size
        batch_size = max(1, min(len(records) * TARGET_SIZE // size, len(records) * MAX_GROWTH, MAX_BATCH))
    return total


def serialize(values: Iterable[Any]) -> list[BytesLike]:
    """The pieces of a block, to be laid end to end; see `serialize_stream`."""
    pieces: list[BytesLike] = []
    serialize_stream(values, pieces.append, FIRST_HELD_BATCH)
    return pieces


def check(data: BytesLike) -> None:
    """Raises CorruptBlockError unless the bytes are those of a block as they were written."""
    for _ in _read_batches(data):
        pass


def has_buffers(data: BytesLike) -> bool:
    """Whether values of the block may be views of its bytes. Raises CorruptBlockError; looks at no checksum."""
    return any(batch.buffers for batch in _read_batches(data, checked=True))


def deserialize(
    data: BytesLike, *, copy: bool = False, checked: bool = False, writable: bool = False, read_only: bool = False
) -> Iterator[Any]:
    """The values of a block. All its bytes are checked by this call, unless they were: ``checked``.

    Without ``copy``, arrays are read-only views of ``data`` and keep it alive; with it they own writable memory.
    ``writable``: they are views which may be written to, if ``data`` may, which is nobody else's then. ``read_only``:
    so are all, those too that are copied in any case. Raises CorruptBlockError at once, and SerializationError when it
    comes to a value that cannot be unpickled.
    """
    return _values_of(list(_read_batches(data, checked, writable)), copy, writable, read_only)


def deserialize_stream(data: BytesLike) -> Iterator[Any]:
    """As `deserialize` with ``copy``, for blocks that may be much larger than memory: each batch is checked, and raises
    CorruptBlockError, when its first value is asked for.
    """
    return _values_of(_read_batches(data), copy=True)


def _values_of(batches: Iterable[_Batch], copy: bool, writable: bool = False, read_only: bool = False) -> Iterator[Any]:
    for batch in batches:
        yield from _load(batch, copy, writable, read_only)


def dumps(value: Any) -> list[BytesLike]:
    """The pieces of a block that holds one object. Raises SerializationError."""
    return list(_write_batch([value], None))


def dumps_by_name(value: Any) -> tuple[list[BytesLike], bool]:
    """As `dumps`, for a reader that is another run of the program: functions and classes go by their names, those of
    ``__main__`` too, so that they are the reader's own. (pieces, whether some went as code, for want of a name.)
    """
    payload = _marshal([value])
    if payload is not None:
        return _lay_out(MARSHAL, SINGLE, 1, payload, []), False
    buffers: list[memoryview] = []
    try:
        return _lay_out(PICKLE, SINGLE, 1, _pickle_with(pickle.dumps, [value], buffers), buffers), False
    except (MemoryError, LocalClusterError):
        raise
    except Exception:
        buffers.clear()
        return _lay_out(PICKLE, SINGLE, 1, _pickle_by_value([value], buffers, None), buffers), True


def loads(
    data: BytesLike, copy: bool = False, checked: bool = False, writable: bool = False, read_only: bool = False
) -> Any:
    """The object of a block that `dumps` made; errors and how as for `deserialize`."""
    return _load(_single(data, checked, writable), copy, writable, read_only)[0]


def load_from(read: Callable[[int, int], bytearray], size: int) -> Any:
    """The object of a block of ``size`` bytes that `dumps` made, whose bytes ``read(start, length)`` gives. Arrays are
    read right into memory of their own. Raises as `loads`, and what ``read`` raises.
    """
    position = _MAGIC_AND_CHECKSUM.size
    digest = xxh3_64()

    def take(length: int) -> bytearray:
        nonlocal position
        if position + length > size:
            raise CorruptBlockError("the block was cut off or changed")
        piece = read(position, length)
        digest.update(piece)
        position += length
        return piece

    def take_padded(length: int) -> bytearray:
        piece = take(length + -(position + length) % ALIGNMENT)
        del piece[length:]
        return piece

    magic, checksum = _MAGIC_AND_CHECKSUM.unpack(read(0, position))
    kind, flags, records, n_buffers, payload_size = _DESCRIPTION.unpack(take(_DESCRIPTION.size))
    sizes = struct.unpack(f"<{n_buffers}Q", take(8 * n_buffers))
    payload = take_padded(payload_size)
    buffers = [take_padded(length) for length in sizes]
    if (magic, checksum, position) != (MAGIC, digest.intdigest() & _LOW_HALF, size) or not flags & SINGLE:
        raise CorruptBlockError("the block was changed, or does not hold a single object")
    return _load(_Batch(kind, flags, records, memoryview(payload), buffers), copy=True)[0]


def wrap(data: BytesLike) -> list[BytesLike]:
    """The pieces of a block that holds these bytes, which must not change before they are copied."""
    return _lay_out(BYTES, SINGLE, 1, data, [])


def unwrap(data: BytesLike, checked: bool = False) -> memoryview:
    """The bytes in a block that `wrap` made, where they are. Raises CorruptBlockError."""
    batch = _single(data, checked)
    if batch.kind != BYTES:
        raise CorruptBlockError(f"a batch of kind {batch.kind} is where bytes are due")
    return batch.payload


def _single(data: BytesLike, checked: bool, writable: bool = False) -> _Batch:
    batches = list(_read_batches(data, checked, writable))
    if len(batches) != 1 or not batches[0].flags & SINGLE:
        raise CorruptBlockError("the block does not hold a single object")
    return batches[0]


# --- writing -------------------------------------------------------------------------------------------------------


def _write_batch(records: list[Any], first: int | None) -> list[BytesLike]:
    """The pieces of one batch. ``first`` is the number of its first record in the block, None for a single object."""
    buffers: list[memoryview] = []
    kind, payload = MARSHAL, _marshal(records)
    if payload is None:
        kind, payload = PICKLE, _pickle(records, buffers, first)
    return _lay_out(kind, SINGLE if first is None else 0, len(records), payload, buffers)


def _lay_out(kind: int, flags: int, records: int, payload: BytesLike, buffers: list[memoryview]) -> list[BytesLike]:
    table = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    checked: list[BytesLike] = [_DESCRIPTION.pack(kind, flags, records, len(buffers), len(payload)), table, payload]
    checked.append(_ZEROS[: -(_HEADER_SIZE + len(table) + len(payload)) % ALIGNMENT])
    for buffer in buffers:
        checked += buffer, _ZEROS[: -len(buffer) % ALIGNMENT]
    pieces = list(_join_small(checked))
    pieces[0] = _MAGIC_AND_CHECKSUM.pack(MAGIC, _checksum(pieces)) + pieces[0]
    return pieces


def _checksum(pieces: list[BytesLike]) -> int:
    if len(pieces) == 1:  # at a third of the price, which small batches notice
        return xxh3_64_intdigest(pieces[0]) & _LOW_HALF
    digest = xxh3_64()
    for piece in pieces:
        digest.update(piece)
    return digest.intdigest() & _LOW_HALF


def _join_small(pieces: Iterable[BytesLike]) -> Iterator[BytesLike]:
    """The first piece is always bytes."""
    small: list[BytesLike] = []
    for piece in pieces:
        if len(piece) < JOIN_BELOW:
            small.append(piece)
            continue
        yield b"".join(small)
        small = []
        yield piece
    yield b"".join(small)


def _marshal(records: list[Any]) -> bytes | None:
    """None: this is for pickle."""
    if not are_exact(records):
        return None
    try:
        return marshal.dumps(records)
    except ValueError:  # its lengths have 31 bits, so it takes no text, bytes or collection of 2 GiB or more
        return None


def _pickle(records: list[Any], buffers: list[memoryview], first: int | None) -> bytes:
    """The pickle of the records; their buffers are appended to ``buffers``."""
    try:
        payload = _pickle_with(pickle.dumps, records, buffers)
        if not by_value.names_only_here(payload):
            return payload
    except (MemoryError, LocalClusterError):  # the latter: a task that is killed while it pickles
        raise
    except Exception:
        pass  # lambdas and the like; when they cannot go by value either, its error is the one to report
    buffers.clear()
    return _pickle_by_value(records, buffers, first)


def _pickle_by_value(records: list[Any], buffers: list[memoryview], first: int | None) -> bytes:
    try:
        return _pickle_with(by_value.dumps, records, buffers)
    except (MemoryError, LocalClusterError):
        raise
    except Exception as error:
        raise SerializationError(_explain(records, first, error)) from error


def _pickle_with(dumps_function: Callable[..., bytes], records: list[Any], buffers: list[memoryview]) -> bytes:
    exported: list[pickle.PickleBuffer] = []
    payload = dumps_function(records, protocol=5, buffer_callback=exported.append)
    buffers.extend(buffer.raw() for buffer in exported)
    return payload


def _explain(records: list[Any], first: int | None, error: Exception) -> str:
    for index, record in enumerate(records):
        explanation = explain_unpicklable(record, "the object" if first is None else f"record {first + index}")
        if explanation is not None:
            return f"Could not serialize object: {explanation}"
    return f"Could not serialize object: {len(records)} records together, though each can be pickled alone: {error}"


# --- reading -------------------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    kind: int
    flags: int
    records: int
    payload: memoryview
    buffers: Sequence[memoryview | bytearray]  # bytearrays are the reader's own


def _read_batches(data: BytesLike, checked: bool = False, writable: bool = False) -> Iterator[_Batch]:
    view = memoryview(data).cast("B")
    view = view if writable else view.toreadonly()
    start = 0
    while start < len(view):
        batch, start = _read_batch(view, start, checked)
        yield batch


def _read_batch(view: memoryview, start: int, checked: bool = False) -> tuple[_Batch, int]:
    """The batch at ``start``, and where it ends. Raises CorruptBlockError."""
    described = start + _MAGIC_AND_CHECKSUM.size
    table = start + _HEADER_SIZE
    if table > len(view):
        raise CorruptBlockError(f"{len(view) - start} bytes at {start} are too few for a batch")
    magic, checksum = _MAGIC_AND_CHECKSUM.unpack_from(view, start)
    if magic not in (MAGIC, _MAGIC_1):
        raise CorruptBlockError(f"no batch starts at byte {start}")
    kind, flags, records, n_buffers, payload_size = _DESCRIPTION.unpack_from(view, described)
    payload = table + 8 * n_buffers
    payload_end = payload + payload_size
    end = _aligned(payload_end)
    if end > len(view):
        raise CorruptBlockError(f"the batch at byte {start} was cut off or changed")
    buffers = []
    for size in struct.unpack_from(f"<{n_buffers}Q", view, table):
        buffers.append(view[end : end + size])
        end = _aligned(end + size)
    if end > len(view):
        raise CorruptBlockError(f"the buffers of the batch at byte {start} were cut off, or it was changed")
    if not checked:
        of_1 = magic == _MAGIC_1
        found = zlib.crc32(view[described:payload_end]) if of_1 else xxh3_64_intdigest(view[described:end]) & _LOW_HALF
        if found != checksum:
            raise CorruptBlockError(f"the batch at byte {start} was changed")
    return _Batch(kind, flags, records, view[payload:payload_end], buffers), end


def _aligned(position: int) -> int:
    return position + -position % ALIGNMENT


def _load(batch: _Batch, copy: bool, writable: bool = False, read_only: bool = False) -> list[Any]:
    if batch.kind == MARSHAL:
        values = _load_marshal(batch)
    elif batch.kind == PICKLE:
        values = _load_pickle(batch, copy, writable, read_only)
    else:
        raise CorruptBlockError(f"this version knows no batch of kind {batch.kind}")
    if type(values) is not list or len(values) != batch.records:
        raise CorruptBlockError(f"a batch does not hold the {batch.records} records that it should")
    return values


def _load_marshal(batch: _Batch) -> Any:
    try:
        return marshal.loads(batch.payload)
    except (ValueError, EOFError, TypeError) as error:
        raise CorruptBlockError(f"a batch of builtin records cannot be read: {error}") from error


def _load_pickle(batch: _Batch, copy: bool, writable: bool, read_only: bool) -> Any:
    try:
        if read_only:
            return load_read_only(batch.payload, batch.buffers)
        if copy and batch.buffers:
            return load_own(batch.payload, (e if isinstance(e, bytearray) else bytearray(e) for e in batch.buffers))
        if writable and batch.buffers:
            return load_own(batch.payload, map(in_place, batch.buffers))
        return pickle.loads(batch.payload, buffers=batch.buffers)
    except (MemoryError, LocalClusterError):
        raise
    except Exception as error:  # the bytes are as they were written: a class is missing, or its own code raised
        raise DeserializationError(f"cannot unpickle a record: {type(error).__name__}: {error}") from error
