"""Blocks and single objects survive serialisation exactly; arrays come back as views; damage is noticed."""

from __future__ import annotations

import io
import marshal
import math
import pickle
import struct
import zlib
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CorruptBlockError, SerializationError, TaskKilledError
from storage import serializer
from storage.serializer import ALIGNMENT, BytesLike, deserialize, dumps, loads, serialize, serialize_stream

Pair = namedtuple("Pair", "a b")


class Text(str): ...


class Number(int): ...


def block_of(values: Any) -> bytes:
    return b"".join(serialize(values))


def round_trip(values: list[Any], copy: bool = False) -> list[Any]:
    return list(deserialize(block_of(values), copy=copy))


def round_trip_one(value: Any, copy: bool = False) -> Any:
    return loads(b"".join(dumps(value)), copy)


def same(one: Any, other: Any) -> bool:
    """Equal in value and exact type all the way down, with NaN equal to itself and -0.0 different from 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and (one == other or (one != one and other != other))
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    return bool(one == other)


# --- values --------------------------------------------------------------------------------------------------------

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))  # lone surrogates too
    | st.binary(),
    lambda children: st.tuples(children, children) | st.frozensets(children, max_size=3),
    max_leaves=5,
)
builtin = st.recursive(
    hashable | st.floats() | st.complex_numbers(),
    lambda children: (
        st.lists(children, max_size=4)
        | st.tuples(children)
        | st.dictionaries(hashable, children, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(builtin, max_size=20))
def test_builtin_records_survive(records: list[Any]) -> None:
    assert same(round_trip(records), records)


@given(builtin)
def test_a_single_builtin_object_survives(value: Any) -> None:
    assert same(round_trip_one(value), value)


@given(st.lists(builtin, max_size=5), st.lists(st.builds(bytearray, st.binary()) | st.builds(Text), min_size=1))
def test_records_that_marshal_would_change_survive(records: list[Any], others: list[Any]) -> None:
    assert same(round_trip(records + others), records + others)


@pytest.mark.parametrize("value", [bytearray(b"ab"), Text("a"), Number(3), Pair(1, 2), (1, [bytearray(b"")])], ids=repr)
def test_values_that_are_not_exactly_builtin_keep_their_type(value: Any) -> None:
    assert marshalled(value) is None
    assert same(round_trip([value, (1, value)]), [value, (1, value)])
    assert same(round_trip_one(value), value)


def marshalled(value: Any) -> Any:
    """The value when marshal was taken for it, else None."""
    block = b"".join(dumps([value]))
    return loads(block)[0] if block[8] == serializer.MARSHAL else None


def test_builtin_records_go_through_marshal() -> None:
    assert marshalled(("word", 1)) == ("word", 1)


@pytest.fixture
def least_refused(monkeypatch: pytest.MonkeyPatch) -> int:
    """Marshal with a limit of its own: from so many characters, bytes or items on it refuses a value as it does from
    2 ** 31 on.
    """
    limit, real = 1000, marshal.dumps

    def limited(value: Any) -> bytes:
        if is_too_large(value, limit):
            raise ValueError("unmarshallable object")
        return real(value)

    monkeypatch.setattr(marshal, "dumps", limited)
    return limit


def is_too_large(value: Any, limit: int) -> bool:
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    sized = isinstance(value, (str, bytes, list, tuple, dict))
    return (sized and len(value) >= limit) or any(is_too_large(part, limit) for part in parts)


@pytest.mark.parametrize("piece", ["a", b"a", (None,), [1]], ids=["str", "bytes", "tuple", "list"])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: ("key", {"b": [value]})], ids=["alone", "inside"])
def test_what_is_too_large_for_marshal_is_pickled(piece: Any, wrap: Any, least_refused: int) -> None:
    small, large = wrap(piece * (least_refused - 1)), wrap(piece * least_refused)
    assert marshalled(small) == small
    assert marshalled(large) is None
    assert same(round_trip_one(large), large)
    assert same(round_trip([1, large, small]), [1, large, small])


@pytest.mark.stress
@pytest.mark.parametrize("piece", ["a", b"a"], ids=["str", "bytes"])
def test_text_and_bytes_of_2_gib_survive(piece: Any) -> None:
    large = piece * 2**31
    assert round_trip_one(large) == large


def test_no_values_are_no_bytes() -> None:
    assert serialize([]) == []
    assert list(deserialize(b"")) == []


def test_shared_objects_of_one_batch_stay_shared() -> None:
    for shared in ([1], [bytearray(b"a")]):
        first, second = round_trip([(shared, 1), (shared, 2)])
        assert first[0] is second[0]


def test_a_list_that_contains_itself_survives() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    copy = round_trip_one(loop)
    assert copy[0] == 1
    assert copy[1] is copy


def test_deep_nesting_survives() -> None:
    value: list[Any] = []
    for _ in range(150):
        value = [value]
    assert round_trip_one(value) == value


def test_nesting_too_deep_for_pickle_is_an_error() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError):
        dumps(value)
    while value:  # taken apart from outside, as the interpreter's own way would be the depth of the nesting
        value = value.pop()


# --- batches -------------------------------------------------------------------------------------------------------


def sizes_of_batches(values: Any) -> list[int]:
    pieces: list[BytesLike] = []
    serialize_stream(values, pieces.append)
    view = memoryview(b"".join(pieces))
    sizes, start = [], 0
    while start < len(view):
        _, end = serializer._read_batch(view, start)
        sizes.append(end - start)
        start = end
    return sizes


@pytest.mark.parametrize("record", [1, ("word", 1), "x" * 1000, Pair(1, "a" * 50)], ids=lambda r: type(r).__name__)
def test_batches_grow_or_shrink_to_a_good_size(record: Any) -> None:
    sizes = sizes_of_batches(record for _ in range(400_000 // (1 + len(repr(record)) // 40)))
    # One object again and again is a short reference each time, so the batches end at their largest number of records.
    assert all(64 << 10 <= size <= 1 << 20 for size in sizes[6:-1])
    assert max(sizes) <= 1 << 20


def test_large_records_come_one_to_a_batch() -> None:
    assert len(sizes_of_batches(bytes([index]) * 600_000 for index in range(20))) == 20


def test_batches_shrink_when_records_become_larger() -> None:
    sizes = sizes_of_batches(["x"] * 100 + [str(index) * 5_000 for index in range(1000, 1800)])
    assert max(sizes) > 1 << 20  # nobody could know
    assert max(sizes[-10:]) <= 1 << 20


def test_writing_and_reading_hold_one_batch_at_a_time() -> None:
    produced = 0

    def values() -> Iterator[int]:
        nonlocal produced
        while produced < 1000:
            produced += 1
            yield produced

    seen_at_sink: list[int] = []
    total = serialize_stream(values(), lambda piece: seen_at_sink.append(produced), batch_size=10)
    assert seen_at_sink[0] == 10
    assert total > 0
    reader = serializer.deserialize_stream(block_of(range(100_000)) + b"garbage")
    assert [next(reader) for _ in range(100)] == list(range(100))


def test_the_number_of_bytes_is_returned() -> None:
    pieces: list[BytesLike] = []
    total = serialize_stream((Pair(i, "x" * i) for i in range(2000)), pieces.append)
    assert total == sum(map(len, pieces)) == len(b"".join(pieces))


@given(st.lists(st.lists(builtin, max_size=3), max_size=4))
def test_blocks_laid_end_to_end_are_a_block(blocks: list[list[Any]]) -> None:
    together = b"".join(block_of(records) for records in blocks)
    assert len(together) % ALIGNMENT == 0
    assert same(list(deserialize(together)), [record for records in blocks for record in records])


def test_an_error_of_the_iterable_or_the_sink_propagates() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("user code")

    with pytest.raises(LookupError, match="user code"):
        serialize(broken())
    full = io.BytesIO()
    full.close()
    with pytest.raises(ValueError, match="closed file"):
        serialize_stream([1], full.write)


# --- what cannot be pickled ----------------------------------------------------------------------------------------


class Refuses:
    def __reduce__(self) -> Any:
        raise RuntimeError("I stay here")


class Breaks:
    """Pickles, but does not come back."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


class Killed:
    def __reduce__(self) -> Any:
        raise TaskKilledError("job cancelled")


class Greedy:
    def __reduce__(self) -> Any:
        raise MemoryError


def test_an_error_names_record_and_part() -> None:
    records = [{"fine": index} for index in range(300)]
    records[200] = {"pool": [1, Refuses()]}  # type: ignore[dict-item]
    with pytest.raises(SerializationError, match=r"record 200\['pool'\]\[1\] is a .*Refuses .*I stay here") as raised:
        serialize(records)
    assert isinstance(raised.value.__cause__, RuntimeError)
    with pytest.raises(SerializationError, match=r"the object\[0\] is a .*Refuses"):
        dumps([Refuses()])


def test_an_object_that_does_not_come_back_is_a_serialization_error() -> None:
    block = b"".join(dumps(Breaks()))
    with pytest.raises(SerializationError, match="not a number") as raised:
        loads(block)
    assert isinstance(raised.value.__cause__, ValueError)


@pytest.mark.parametrize(("value", "error"), [(Killed(), TaskKilledError), (Greedy(), MemoryError)])
def test_a_kill_and_a_lack_of_memory_are_not_taken_for_pickling_errors(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        dumps(value)


def test_lambdas_survive() -> None:
    offset = 10
    functions = round_trip([lambda x: x + offset, lambda x: x * 2])
    assert [function(1) for function in functions] == [11, 2]


# --- damage --------------------------------------------------------------------------------------------------------

SAMPLE = b"".join(serialize([("word", index) for index in range(300)]) + serialize([Pair(1, "x"), Text("a")] * 50))


@given(st.binary(min_size=1, max_size=300))
def test_garbage_is_a_corrupt_block(garbage: bytes) -> None:
    with pytest.raises(CorruptBlockError):
        list(deserialize(garbage))
    with pytest.raises(CorruptBlockError):
        loads(garbage)


@given(st.integers(0, len(SAMPLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_before_the_first_value(position: int, change: int) -> None:
    damaged = bytearray(SAMPLE)
    damaged[position] ^= change
    with pytest.raises(CorruptBlockError):
        deserialize(damaged)
    with pytest.raises(CorruptBlockError):
        serializer.check(damaged)
    with pytest.raises(CorruptBlockError):
        list(serializer.deserialize_stream(damaged))


@pytest.mark.parametrize("size", [1, 63, 64, 1000, 1 << 20])
def test_a_changed_bit_of_a_buffer_is_noticed(size: int) -> None:
    block = bytearray(b"".join(dumps(pickle.PickleBuffer(bytearray(b"." * size)))))
    serializer.check(block)
    for position in (len(block) - 1, block.index(b"." * size), block.index(b"." * size) + size - 1):
        damaged = bytearray(block)
        damaged[position] ^= 1
        with pytest.raises(CorruptBlockError, match="changed"):
            loads(damaged)


def test_a_stream_is_checked_batch_by_batch() -> None:
    block = bytearray(block_of(range(1000)) + block_of(["last"]))
    block[-1] ^= 1
    values = serializer.deserialize_stream(block)
    assert [next(values) for _ in range(1000)] == list(range(1000))
    with pytest.raises(CorruptBlockError):
        next(values)


def test_what_was_checked_is_not_checked_again() -> None:
    block = bytearray(block_of([b"." * 100]))
    block[block.index(b".")] = ord("!")
    assert list(deserialize(block, checked=True)) == [b"!" + b"." * 99]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 1000], ids=len)
def test_bytes_come_back_where_they_are(data: bytes) -> None:
    block = b"".join(serializer.wrap(memoryview(data)))
    assert len(block) % ALIGNMENT == 0
    found = serializer.unwrap(block)
    assert found == data
    assert found.obj is block
    with pytest.raises(CorruptBlockError, match="changed"):
        serializer.unwrap(block[:32] + bytes([block[32] ^ 4]) + block[33:])
    with pytest.raises(CorruptBlockError, match="bytes are due"):
        serializer.unwrap(b"".join(dumps(data)))


def test_a_block_of_zeros_is_a_corrupt_block() -> None:
    with pytest.raises(CorruptBlockError):
        deserialize(bytes(len(SAMPLE)))


def test_batches_of_the_first_version_are_read_and_checked() -> None:
    buffers = [memoryview(b"a" * 10)]
    payload = pickle.dumps([pickle.PickleBuffer(b"a" * 10)], protocol=5, buffer_callback=lambda buffer: None)
    checked = serializer._DESCRIPTION.pack(serializer.PICKLE, 0, 1, 1, len(payload)) + struct.pack("<Q", 10) + payload
    head = b"LCB1" + zlib.crc32(checked).to_bytes(4, "little") + checked
    block = bytearray(head + bytes(-len(head) % ALIGNMENT) + b"a" * 10 + bytes(54))
    assert [bytes(value) for value in deserialize(block)] == [bytes(buffers[0])]
    block[50] ^= 1
    with pytest.raises(CorruptBlockError, match="changed"):
        deserialize(block)


@given(st.integers(1, len(SAMPLE) - 1))
def test_a_block_that_was_cut_off_gives_whole_batches_or_an_error(length: int) -> None:
    whole = list(deserialize(SAMPLE))
    values: list[Any] = []
    try:
        for value in deserialize(SAMPLE[:length]):
            values.append(value)
    except CorruptBlockError:
        pass
    else:
        assert length % ALIGNMENT == 0
    assert same(values, whole[: len(values)])


def test_the_buffers_of_a_block_that_was_cut_off_are_missed() -> None:
    block = b"".join(dumps(pickle.PickleBuffer(bytearray(1000))))
    assert bytes(loads(block)) == bytes(1000)
    with pytest.raises(CorruptBlockError, match="cut off"):
        loads(block[: -2 * ALIGNMENT])


def test_a_kind_of_batch_that_this_version_does_not_know_is_a_corrupt_block() -> None:
    block = bytearray(b"".join(dumps(1)))
    block[8] = 99
    block[4:8] = serializer._checksum([bytes(block[8:])]).to_bytes(4, "little")
    with pytest.raises(CorruptBlockError, match="kind 99"):
        loads(block)


@pytest.mark.parametrize("payload", [marshal.dumps([1, 2]), marshal.dumps("text"), b"?", b""])
def test_a_payload_that_is_not_the_records_promised_is_a_corrupt_block(payload: bytes) -> None:
    batch = serializer._Batch(serializer.MARSHAL, 0, 1, memoryview(payload), [])
    with pytest.raises(CorruptBlockError):
        serializer._load(batch, copy=False)


def test_loads_takes_single_objects_only() -> None:
    for block in (block_of([1]), b"", b"".join(dumps(1)) * 2):
        with pytest.raises(CorruptBlockError, match="single object"):
            loads(block)
