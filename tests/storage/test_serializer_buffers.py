"""Arrays in blocks: aligned, read in place and read-only, or copied and writable. Numpy, pandas and Arrow."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import numpy as np
import pytest

from protocol.errors import CorruptBlockError, SerializationError
from storage import serializer
from storage.own_arrays import load_own
from storage.serializer import ALIGNMENT, deserialize, dumps, loads, serialize
from tests.storage.damage import CHANGES, Change


def aligned_block(pieces: list[Any]) -> memoryview:
    """The block at an address that is a multiple of 64, as in an arena."""
    content = b"".join(pieces)
    memory = np.zeros(len(content) + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    memory[start : start + len(content)] = np.frombuffer(content, np.uint8)
    return memoryview(memory)[start : start + len(content)]


def lies_in(array: np.ndarray[Any, Any], view: memoryview) -> bool:
    start = np.frombuffer(view, np.uint8).ctypes.data
    return bool(start <= array.ctypes.data and array.ctypes.data + array.nbytes <= start + len(view))


ODD_ARRAYS = [
    np.arange(20)[::2],
    np.array([1, "a"], object),
    np.array(["2020-01-01"], "M8[D]"),
    np.ma.array([1, 2], mask=[False, True]),
]
"""They are in the pickle itself."""
ARRAYS = [
    np.arange(10.0),
    np.arange(100_000, dtype=np.int32),
    np.arange(24, dtype=np.int8).reshape(2, 3, 4),
    np.asfortranarray(np.arange(12).reshape(3, 4)),
    np.array(7.5),
    np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    np.array(["a", "bcd"]),
]
array_kinds = pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")


@array_kinds
def test_arrays_are_read_in_place_aligned_and_read_only(array: Any) -> None:
    view = aligned_block(serialize([("a", array), array.copy()]))
    _, copy = next(iter(deserialize(view)))
    assert (copy.dtype, copy.shape) == (array.dtype, array.shape)
    assert np.array_equal(copy, array)
    assert lies_in(copy, view)
    assert copy.ctypes.data % ALIGNMENT == 0
    assert not copy.flags.writeable
    with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
        copy.flags.writeable = True


@array_kinds
def test_copied_arrays_own_writable_memory(array: Any) -> None:
    view = aligned_block(dumps(array))
    copy = loads(view, copy=True)
    assert np.array_equal(copy, array)
    assert copy.flags.writeable
    assert not lies_in(copy, view)
    before = bytes(view)
    copy.fill(copy.flat[0])
    copy[...] = np.zeros_like(copy)
    assert bytes(view) == before


@array_kinds
def test_copies_of_read_only_views_are_writable(array: Any) -> None:
    """What a task returns of what it read from shared memory."""
    view = loads(aligned_block(dumps(array)))
    assert not view.flags.writeable
    again = b"".join(dumps(view))
    copy = loads(again, copy=True)
    assert (copy.dtype, copy.shape, copy.flags.f_contiguous) == (array.dtype, array.shape, array.flags.f_contiguous)
    assert np.array_equal(copy, array)
    copy.fill(copy.flat[0])
    assert np.array_equal(loads(again), array)
    copy, _ = deserialize(b"".join(serialize([view, {"a": [view]}])), copy=True)
    copy.fill(copy.flat[0])


@array_kinds
def test_read_only_arrays_inside_of_a_pickle_become_writable(array: Any) -> None:
    array = array.copy("K")
    array.flags.writeable = False
    pickled = pickle.dumps([array, array], protocol=5)
    copy, same = load_own(pickled)
    assert same is copy
    assert np.array_equal(copy, array)
    copy.fill(copy.flat[0])
    assert np.array_equal(pickle.loads(pickled)[0], array)


@pytest.mark.parametrize("array", [*ARRAYS, *ODD_ARRAYS], ids=str)
def test_read_only_all_arrays_are(array: Any) -> None:
    again = loads(aligned_block(dumps([array, {"a": array}])), read_only=True)[1]["a"]
    assert (type(again), again.tolist()) == (type(array), array.tolist())
    assert not again.flags.writeable


def test_an_array_keeps_the_block_alive() -> None:
    array = loads(aligned_block(dumps(np.arange(1000))))
    assert array.sum() == 499_500


@pytest.mark.parametrize("array", [np.arange(20)[::2], np.arange(12).reshape(3, 4).T[1:], np.zeros((0, 3))], ids=str)
def test_arrays_that_are_not_contiguous_or_empty_survive(array: Any) -> None:
    copy = loads(b"".join(dumps(array)))
    assert copy.shape == array.shape
    assert np.array_equal(copy, array)


def test_arrays_of_dates_survive_as_copies() -> None:
    array = np.array(["2020-01-01", "NaT"], dtype="datetime64[D]")  # numpy exports no buffer of them
    assert np.array_equal(loads(b"".join(dumps(array))), array, equal_nan=True)


def test_arrays_of_objects_survive() -> None:
    array = np.array([None, "a", (1, 2), {"x": [1]}], dtype=object)
    assert loads(b"".join(dumps(array))).tolist() == array.tolist()


SCALARS = [np.int64(1), np.float64(1.5), np.bool_(True), np.str_("a"), np.bytes_(b"a"), np.complex64(1j)]


@pytest.mark.parametrize("scalar", [*SCALARS, np.datetime64("2020-01-01")], ids=lambda scalar: type(scalar).__name__)
def test_numpy_scalars_keep_their_type(scalar: Any) -> None:
    for value in (scalar, (1, scalar), {"a": [scalar]}, {scalar: 1}):
        copy = loads(b"".join(dumps(value)))
        assert repr(copy) == repr(value)
        (record,) = deserialize(b"".join(serialize([value])))
        assert repr(record) == repr(value)


def test_large_arrays_are_handed_on_without_a_copy() -> None:
    array = np.zeros(1_000_000)
    pieces = serialize([array])
    assert any(isinstance(piece, memoryview) and lies_in(array, piece) for piece in pieces)
    array[0] = 5  # so the sink must copy before the values change
    assert loads(b"".join(dumps(array)))[0] == 5


def test_many_small_arrays_are_joined_into_few_pieces() -> None:
    arrays = [np.arange(index % 7) for index in range(5_000)]
    pieces = serialize(arrays)
    assert len(pieces) < 50
    assert all(map(np.array_equal, deserialize(b"".join(pieces)), arrays))


def test_pieces_large_and_small_stay_in_order() -> None:
    sizes = [0, 1, serializer.JOIN_BELOW - 1, serializer.JOIN_BELOW, 63, 64, 65, 3 * serializer.JOIN_BELOW + 1, 1]
    arrays = [np.full(size, index, np.uint8) for index, size in enumerate(sizes)]
    view = aligned_block(serialize(arrays))
    copies = list(deserialize(view))
    assert all(map(np.array_equal, copies, arrays))
    assert all(copy.ctypes.data % ALIGNMENT == 0 for copy in copies if copy.size)


def test_a_buffer_that_is_not_contiguous_is_an_error() -> None:
    # Over an array: CPython 3.11.7 crashes when it collects a cycle with a PickleBuffer over a memoryview (gh-77894).
    with pytest.raises(SerializationError, match="contiguous"):
        dumps(pickle.PickleBuffer(np.arange(10)[::2]))


def test_bytearrays_come_back_writable() -> None:
    copy = loads(b"".join(dumps([bytearray(b"abc")])))
    copy[0][0] = 0
    assert copy == [bytearray(b"\0bc")]


def test_pandas_frames_come_back_as_views() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"x": np.arange(1000.0), "y": np.arange(1000), "name": ["a", "b"] * 500})
    view = aligned_block(serialize([frame]))
    (copy,) = deserialize(view)
    pandas.testing.assert_frame_equal(copy, frame)
    assert lies_in(copy["x"].to_numpy(), view)
    (owned,) = deserialize(view, copy=True)
    owned["x"] *= 2
    assert owned["x"][2] == 4.0
    assert copy["x"][2] == 2.0
    (owned,) = deserialize(b"".join(serialize([copy])), copy=True)  # a copy of a view
    owned.iloc[2, 0] = 5.0
    assert (owned["x"][2], copy["x"][2]) == (5.0, 2.0)


def test_pandas_timestamps_keep_their_type() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    moment = pandas.Timestamp(datetime.datetime(2020, 1, 2))
    assert type(loads(b"".join(dumps((1, moment))))[1]) is pandas.Timestamp


def test_arrow_tables_come_back_as_views() -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = arrow.table({"x": list(range(1000)), "name": ["a", "bc"] * 500})
    view = aligned_block(serialize([table]))
    (copy,) = deserialize(view)
    assert copy.equals(table)
    values = copy["x"].chunk(0).buffers()[1]
    start = np.frombuffer(view, np.uint8).ctypes.data
    assert start <= values.address < start + len(view)


# --- read by pieces ------------------------------------------------------------------------------------------------


def load_by_pieces(block: bytes) -> Any:
    return serializer.load_from(lambda start, length: bytearray(block[start : start + length]), len(block))


@pytest.mark.parametrize(
    "value", [[], [1, "text"], np.arange(1000), [np.zeros(0), np.ones((3, 5)), bytearray(b"x" * 70)]]
)
def test_an_object_read_by_pieces_is_what_was_written_and_owns_its_memory(value: Any) -> None:
    found = load_by_pieces(b"".join(serializer.dumps(value)))
    assert repr(found) == repr(value)
    arrays = [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, np.ndarray)]
    assert all(array.flags.writeable for array in arrays)


def test_a_read_only_array_read_by_pieces_can_be_changed() -> None:
    array = np.arange(1000)
    array.flags.writeable = False
    found = load_by_pieces(b"".join(serializer.dumps([array, array[::2]])))
    found[0][3] = 7
    assert found[0].sum() == array.sum() + 4


@pytest.mark.parametrize("change", CHANGES)
def test_damage_is_noticed_by_pieces_too(change: Change) -> None:
    block = bytearray(b"".join(serializer.dumps([np.arange(1000), b"x" * 10])))
    change(block)
    with pytest.raises(CorruptBlockError):
        load_by_pieces(bytes(block))


def test_what_is_no_single_object_is_not_read_by_pieces() -> None:
    single = b"".join(serializer.dumps(1))
    for block in (b"".join(serializer.serialize([1])), single * 2, single[:-64] or single[:40]):
        with pytest.raises(CorruptBlockError):
            load_by_pieces(block.ljust(40, b"\0"))
