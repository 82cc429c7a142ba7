"""PySpark's serializers: what each writes it reads, in PySpark's frames, and fails as PySpark's does."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
from collections import namedtuple
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster import serializers as s
from localcluster.serializers import framing
from protocol.errors import SerializationError

Point = namedtuple("Point", "x y")

RECORDS = [1, None, "ä", b"\x00", 2.5, (1, [2, {"a": {3}}]), 10**30]
FRAMED = [
    s.PickleSerializer(),
    s.CPickleSerializer(),
    s.CloudPickleSerializer(),
    s.MarshalSerializer(),
    s.AutoSerializer(),
    s.CompressedSerializer(s.PickleSerializer()),
]


def written(serializer: s.Serializer, records: Any) -> io.BytesIO:
    stream = io.BytesIO()
    serializer.dump_stream(iter(records), stream)
    stream.seek(0)
    return stream


def frames(data: bytes) -> list[bytes]:
    found = []
    while data:
        (length,) = struct.unpack("!i", data[:4])
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


@pytest.mark.parametrize("serializer", FRAMED, ids=repr)
def test_what_a_serializer_writes_it_reads(serializer: s.FramedSerializer) -> None:
    assert serializer.loads(serializer.dumps(RECORDS)) == RECORDS
    for wrapper in (serializer, s.BatchedSerializer(serializer), s.BatchedSerializer(serializer, 2)):
        assert list(wrapper.load_stream(written(wrapper, RECORDS))) == RECORDS
    auto = s.AutoBatchedSerializer(serializer)
    assert list(auto.load_stream(written(auto, RECORDS))) == RECORDS
    assert pickle.loads(pickle.dumps(serializer)) == serializer


@given(st.lists(st.integers()), st.sampled_from([-1, 1, 2, 7]))
def test_batches_have_the_size_asked_for(records: list[int], size: int) -> None:
    marshal = s.MarshalSerializer()
    stream = written(s.BatchedSerializer(marshal, size), records)
    batches = [marshal.loads(frame) for frame in frames(stream.getvalue())]
    assert list(chain.from_iterable(batches)) == records
    assert all(len(batch) == size for batch in batches[:-1]) or size == -1


def test_automatic_batches_grow_while_they_are_small() -> None:
    marshal = s.MarshalSerializer()
    stream = written(s.AutoBatchedSerializer(marshal, 100), list(range(40)))
    sizes = [len(marshal.loads(frame)) for frame in frames(stream.getvalue())]
    assert sizes == [1, 2, 4, 8, 16, 9]  # 16 numbers of 5 bytes are not a hundred bytes yet; the rest were left


def test_a_frame_is_a_length_and_bytes() -> None:
    assert written(s.NoOpSerializer(), [b"ab", b""]).getvalue() == b"\x00\x00\x00\x02ab\x00\x00\x00\x00"


def test_streams_end_at_their_end_mark_or_where_they_were_cut() -> None:
    raw = s.NoOpSerializer()
    for end in (b"", struct.pack("!i", -1) + b"more", b"\x00\x00\x00\x05abc"):
        assert list(raw.load_stream(io.BytesIO(b"\x00\x00\x00\x01a" + end))) == [b"a"]
    assert list(raw.load_stream(io.BytesIO(struct.pack("!i", -5)))) == [None]


def test_an_eof_error_of_the_users_loads_is_an_end_but_one_of_the_consumer_is_not() -> None:
    stream = s.NoOpSerializer().load_stream(io.BytesIO(b"\x00\x00\x00\x01a" * 2))
    assert next(stream) == b"a"
    with pytest.raises(EOFError):
        stream.throw(EOFError)  # type: ignore[attr-defined]


def test_numbers_come_back_and_are_big_endian() -> None:
    stream = io.BytesIO()
    s.write_int(-2, stream)
    s.write_long(1 << 40, stream)
    stream.write(b"\x01")
    s.write_with_length(b"xyz", stream)
    assert stream.getvalue()[4:12] == s.pack_long(1 << 40) == b"\x00\x00\x01\x00\x00\x00\x00\x00"
    stream.seek(0)
    assert (s.read_int(stream), s.read_long(stream), s.read_bool(stream)) == (-2, 1 << 40, True)
    assert stream.read(s.read_int(stream)) == b"xyz"
    for read in (s.read_int, s.read_long, s.read_bool):
        with pytest.raises(EOFError):
            read(stream)


def test_texts_are_read_as_text_or_bytes() -> None:
    stream = written(s.NoOpSerializer(), ["ä".encode(), b"b"]).getvalue() + struct.pack("!i", -5) + b"\x00"
    assert list(s.UTF8Deserializer().load_stream(io.BytesIO(stream))) == ["ä", "b", None]
    assert list(s.UTF8Deserializer(False).load_stream(io.BytesIO(stream))) == ["ä".encode(), b"b", None]


def test_pairs_and_products_are_read_batch_by_batch() -> None:
    ser = s.BatchedSerializer(s.PickleSerializer(), 2)
    stream = io.BytesIO()
    for batch in ([1, 2], ["a", "b"], [3], ["c"]):
        ser.dump_stream(batch, stream)
    for reader, expected in (
        (s.PairDeserializer(ser, ser), [(1, "a"), (2, "b"), (3, "c")]),
        (s.CartesianDeserializer(ser, ser), [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "c")]),
    ):
        stream.seek(0)
        assert list(reader.load_stream(stream)) == expected
    nested = s.PairDeserializer(s.PairDeserializer(ser, ser), ser)
    stream = io.BytesIO()
    for batch in ([1, 2], [3, 4], [5, 6]):
        ser.dump_stream(batch, stream)
    stream.seek(0)
    assert list(nested.load_stream(stream)) == [((1, 3), 5), ((2, 4), 6)]


def test_pairs_of_batches_of_different_lengths_are_refused() -> None:
    ser = s.BatchedSerializer(s.PickleSerializer())
    stream = io.BytesIO()
    ser.dump_stream([1, 2], stream)
    ser.dump_stream([1], stream)
    stream.seek(0)
    with pytest.raises(ValueError, match=r"different number of items in batches: \(2, 1\)"):
        list(s.PairDeserializer(ser, ser).load_stream(stream))


def test_long_lists_of_values_are_cut() -> None:
    flat = s.FlattenedValuesSerializer(s.BatchedSerializer(s.PickleSerializer(), 10), 2)
    pairs = list(flat.load_stream(written(flat, [(1, [1, 2, 3, 4, 5]), (2, [])])))
    assert pairs == [(1, [1, 2]), (1, [3, 4]), (1, [5])]


def test_what_cannot_be_serialised_fails_as_in_pyspark() -> None:
    with pytest.raises(ValueError, match="unmarshallable object"):
        s.MarshalSerializer().dumps(object())
    with pytest.raises(pickle.PicklingError, match="Could not serialize object: TypeError: cannot pickle") as caught:
        s.CloudPickleSerializer().dumps(sys._getframe())
    assert isinstance(caught.value, SerializationError)
    with pytest.raises(AssertionError, match="must be a FramedSerializer"):
        s.CompressedSerializer(s.BatchedSerializer(s.PickleSerializer()))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="should not be None"):
        written(s.NoOpSerializer(), [None])


def test_a_batch_that_is_longer_than_its_length_can_say_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_FRAME", 100)
    for serializer in (s.PickleSerializer(), s.AutoBatchedSerializer(s.PickleSerializer())):
        with pytest.raises(ValueError, match="larger than 2G"):
            written(serializer, ["x" * 100])


def test_marshal_is_given_up_at_the_first_object_it_refuses() -> None:
    auto = s.AutoSerializer()
    kinds = [auto.dumps(value)[:1] for value in (1, Point(1, 2), 1)]
    assert kinds == [b"M", b"P", b"P"]
    with pytest.raises(ValueError, match="invalid serialization type"):
        auto.loads(b"X")


def test_equal_serializers_read_each_other() -> None:
    batched = s.BatchedSerializer(s.PickleSerializer(), 5)
    assert batched == s.BatchedSerializer(s.PickleSerializer(), 5)
    assert hash(batched) == hash(s.BatchedSerializer(s.PickleSerializer(), 5))
    assert batched != s.BatchedSerializer(s.PickleSerializer(), 6)
    assert batched != s.BatchedSerializer(s.MarshalSerializer(), 5)
    assert s.PickleSerializer() != s.MarshalSerializer()
    assert s.AutoBatchedSerializer(s.PickleSerializer()) == s.AutoBatchedSerializer(s.PickleSerializer())


def test_they_are_printed_as_in_pyspark() -> None:
    assert repr(s.CPickleSerializer()) == "CloudPickleSerializer()"
    assert repr(s.AutoBatchedSerializer(s.CPickleSerializer())) == "AutoBatchedSerializer(CloudPickleSerializer())"
    assert repr(s.BatchedSerializer(s.MarshalSerializer(), 2)) == "BatchedSerializer(MarshalSerializer(), 2)"
    pair = s.PairDeserializer(s.UTF8Deserializer(), s.NoOpSerializer())
    assert repr(pair) == "PairDeserializer(UTF8Deserializer(True), NoOpSerializer())"


def test_namedtuples_of_main_and_of_functions_travel() -> None:
    """To another interpreter, which has neither the script nor the class."""
    script = (
        "import sys, collections; from localcluster.serializers import CPickleSerializer as C\n"
        "P = collections.namedtuple('P', 'x y')\n"
        "def f():\n    return collections.namedtuple('Q', 'z')(3)\n"
        "sys.stdout.buffer.write(C().dumps([P(1, 2), f()]))"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    first, second = s.CPickleSerializer().loads(done.stdout)
    assert (first.x, first.y, first._fields, second.z) == (1, 2, ("x", "y"), 3)
