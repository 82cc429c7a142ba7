"""Frames survive any cut of the stream; whatever is not a frame is a FrameError, never a wrong frame."""

from __future__ import annotations

import struct
import sys
import threading
import tracemalloc
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import FrameError, SerializationError
from protocol.wire import HEADER_SIZE, MAGIC, VERSION, Frame, FrameDecoder, Kind, describe, dumps, encode, loads

FRAMES = st.lists(
    st.builds(Frame, st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.binary(max_size=200)), min_size=1, max_size=8
)
LIMIT = 1000  # bytes


def decode(decoder: FrameDecoder) -> list[tuple[int, Frame]]:
    frames = []
    while (arrived := decoder.next_frame()) is not None:
        frames.append(arrived)
    return frames


def decode_until_error(data: bytes) -> tuple[list[Frame], bool]:
    """The frames that came out before the error, and whether there was one: at once or at the end of the stream."""
    decoder = FrameDecoder(LIMIT)
    decoder.feed(data)
    frames = []
    try:
        while (arrived := decoder.next_frame()) is not None:
            frames.append(arrived[1])
        decoder.finish()
    except FrameError:
        return frames, True
    return frames, False


@given(FRAMES, st.lists(st.integers(0, 2000), max_size=12))
def test_frames_survive_any_cut_of_the_stream(frames: list[Frame], cuts: list[int]) -> None:
    data = encode(tuple(frames), 2**40)
    decoder = FrameDecoder()
    received = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        decoder.feed(data[start:end])
        received += decode(decoder)
    decoder.finish()
    assert received == [(2**40 + position, frame) for position, frame in enumerate(frames)]


@given(FRAMES, st.data())
def test_a_truncated_stream_gives_whole_frames_and_then_an_error(frames: list[Frame], data: st.DataObject) -> None:
    encoded = encode(tuple(frames))
    cut = data.draw(st.integers(0, len(encoded) - 1))
    received, failed = decode_until_error(encoded[:cut])
    assert received == frames[: len(received)]
    assert failed == (cut != len(encode(tuple(received))))


@given(FRAMES, st.data())
def test_a_flipped_bit_is_an_error_and_never_a_wrong_frame(frames: list[Frame], data: st.DataObject) -> None:
    encoded = bytearray(encode(tuple(frames)))
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    received, failed = decode_until_error(bytes(encoded))
    assert failed
    assert received == frames[: len(received)]
    assert len(encode(tuple(received))) <= bit // 8  # and none at or after the damage


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_an_error(noise: bytes, with_magic: bool) -> None:
    data = (MAGIC + bytes([VERSION]) if with_magic else b"") + noise
    received, failed = decode_until_error(data)
    assert received == []
    assert failed == bool(data)


def test_an_error_stays() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"x" * HEADER_SIZE)
    for more in (b"", encode((Frame(Kind.TELL),))):
        decoder.feed(more)
        with pytest.raises(FrameError, match="garbled"):
            decoder.next_frame()


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ((0, b"X"), "starts with b'Xc'"),
        ((2, b"\x01"), "version 1; this side speaks 2"),
        ((4, b"\xff"), "checksum of its head"),
        ((23, b"\xff"), "checksum of its head"),
        ((-1, b"!"), "checksum of its 5 bytes"),
    ],
)
def test_an_error_says_what_is_wrong(damage: tuple[int, bytes], text: str) -> None:
    data = bytearray(encode((Frame(Kind.TELL, 0, b"hello"),)))
    data[damage[0]] = damage[1][0]
    decoder = FrameDecoder()
    decoder.feed(bytes(data))
    with pytest.raises(FrameError, match=text):
        decoder.next_frame()


def test_an_unknown_kind_with_a_right_checksum_is_an_error() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode((Frame(99, 0, b""),)))  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="unknown kind 99"):
        decoder.next_frame()


def test_an_oversized_length_is_refused_before_its_bytes_are_taken_in() -> None:
    head = struct.pack("!2sBBIQQ", MAGIC, VERSION, Kind.TELL, 2**32 - 1, 0, 0)
    header = head + struct.pack("!II", zlib.crc32(head), 0)
    tracemalloc.start()
    try:
        decoder = FrameDecoder(LIMIT)
        decoder.feed(header)
        with pytest.raises(FrameError, match="oversized"):
            decoder.next_frame()
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_small_reads_of_a_large_frame_take_no_more_than_the_frame_needs() -> None:
    payload = b"x" * (1 << 20)
    data = encode((Frame(Kind.TELL, 0, payload),))
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        for start in range(0, len(data), 7):
            assert decoder.next_frame() is None
            decoder.feed(data[start : start + 7])
        arrived = decoder.next_frame()
        assert arrived is not None
        assert arrived[1].payload == payload
        assert tracemalloc.get_traced_memory()[1] < 4 * len(payload)
    finally:
        tracemalloc.stop()


def test_the_worked_example_of_the_documentation_is_right() -> None:
    """The bytes are copied from docs/wire-format.md."""
    data = encode((Frame(Kind.ASK, 258, dumps("hi")),), 3) + encode((Frame(Kind.COUNT),), 4)
    assert data + encode((Frame(Kind.GOODBYE),), 4) == bytes.fromhex(
        "4c 63 02 02 00 00 00 11 00 00 00 00 00 00 01 02 00 00 00 00 00 00 00 03 4d 82 36 20 ab 47 97 db"
        "80 05 95 06 00 00 00 00 00 00 00 8c 02 68 69 94 2e"
        "4c 63 02 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 04 0f 06 35 20 00 00 00 00"
        "4c 63 02 06 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 04 90 dc b6 be 00 00 00 00"
    )


# --- pickling ---


def test_what_pickle_cannot_send_by_name_travels_by_value() -> None:
    offset = 3
    assert loads(dumps(lambda x: x + offset))(4) == 7


def test_what_nothing_can_pickle_is_named() -> None:
    with pytest.raises(SerializationError, match=r"cannot pickle tuple .*lock"):
        dumps(("x", threading.Lock()))


class Unreadable:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __reduce__(self) -> str:
        raise KeyError("no pickle either")


def test_a_value_that_breaks_repr_and_pickle_is_named_by_its_type() -> None:
    assert describe(Unreadable()) == "Unreadable (its repr raises ValueError)"
    with pytest.raises(SerializationError, match="Unreadable"):
        dumps(Unreadable())


def test_bytes_that_are_no_pickle_are_a_serialization_error() -> None:
    with pytest.raises(SerializationError, match="cannot unpickle 5 bytes"):
        loads(b"hello")


class Leaves:
    def __init__(self, *reduced: Any) -> None:
        self._reduced = reduced

    def __reduce__(self) -> Any:
        return self._reduced or sys.exit(3)

    def __repr__(self) -> str:
        raise SystemExit(5)


def test_code_of_the_user_s_that_would_end_the_process_is_an_error() -> None:
    with pytest.raises(SerializationError, match=r"Leaves \(its repr raises SystemExit\)"):
        dumps(Leaves())
    with pytest.raises(SerializationError, match="SystemExit: 4"):
        loads(dumps(Leaves(sys.exit, (4,))))
