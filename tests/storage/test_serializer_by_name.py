"""Values for a later run of a program: by name where there is one, and read in place, into memory of the reader."""

from __future__ import annotations

import gc
import mmap
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import DeserializationError, SerializationError
from storage.serializer import deserialize, dumps, dumps_by_name, loads, serialize


def joined(value: Any) -> bytes:
    return b"".join(dumps_by_name(value)[0])


@pytest.mark.parametrize("value", [None, 1, "a", [1, (2, {"b": b"c"})], Counter("abca"), {"x": Counter, "y": len}])
def test_what_has_a_name_goes_without_code(value: Any) -> None:
    pieces, has_code = dumps_by_name(value)
    assert not has_code
    assert loads(b"".join(pieces)) == value


def test_what_has_no_name_goes_as_code_and_says_so() -> None:
    secret = 5
    pieces, has_code = dumps_by_name([lambda: secret])
    assert has_code
    assert loads(b"".join(pieces))[0]() == 5


def test_arrays_beside_code_are_not_laid_out_twice() -> None:
    array = np.arange(50_000)
    pieces, has_code = dumps_by_name([array, lambda: 1])
    assert has_code
    assert sum(map(len, pieces)) < array.nbytes * 1.5
    assert (loads(b"".join(pieces))[0] == array).all()


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(SerializationError, match="generator"):
        dumps_by_name({"a": (n for n in range(3))})


def test_a_class_of_the_main_program_is_the_reader_s_own(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from storage.serializer import dumps_by_name, loads\n"
        "class Point:\n"
        "    what = sys.argv[1]\n"
        "if sys.argv[1] == 'write':\n"
        "    pieces, has_code = dumps_by_name(Point())\n"
        "    assert not has_code\n"
        "    open(sys.argv[2], 'wb').write(b''.join(pieces))\n"
        "else:\n"
        "    print(loads(open(sys.argv[2], 'rb').read()).what)\n"
    )
    out = [
        subprocess.run(
            [sys.executable, "-W", "ignore", program, what, tmp_path / "value"], capture_output=True, check=True
        )
        for what in ("write", "read")
    ]
    assert out[1].stdout == b"read\n"
    with pytest.raises(DeserializationError, match="Point"):
        loads((tmp_path / "value").read_bytes())


# --- read in place, writable -----------------------------------------------------------------------------------------


def private_copy(data: bytes) -> memoryview:
    """As of a file that is mapped privately."""
    mapping = mmap.mmap(-1, len(data))
    mapping.write(data)
    return memoryview(mapping)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("size", [3, 100_000])
def test_arrays_are_the_reader_s_own_memory_in_place(size: int, read_only: bool) -> None:
    array = np.arange(size)
    array.flags.writeable = not read_only
    view = private_copy(joined({"a": array}))
    found = loads(view, writable=True)["a"]
    assert found.flags.writeable
    found[1] = -7
    assert loads(view, checked=True)["a"][1] == -7  # it is this memory
    assert loads(view, checked=True)["a"].flags.writeable is False


def test_an_array_keeps_the_memory_alive_and_no_longer() -> None:
    view = private_copy(joined(np.arange(50_000)))
    mapping = view.obj
    found = loads(view, writable=True)
    view.release()
    with pytest.raises(BufferError):
        mapping.close()  # type: ignore[union-attr]
    part = found[10:20]
    del found
    gc.collect()
    assert part.sum() == sum(range(10, 20))
    with pytest.raises(BufferError):
        mapping.close()  # type: ignore[union-attr]
    del part
    gc.collect()
    mapping.close()  # type: ignore[union-attr]


def test_records_are_read_in_place_too() -> None:
    view = private_copy(b"".join(serialize([np.zeros(40_000), "a", np.ones(3)])))
    first, text, small = deserialize(view, writable=True)
    first += 1
    small += 1
    assert text == "a"
    first, _, small = deserialize(view, checked=True)
    assert (first.sum(), small.sum()) == (40_000, 6)
    assert not first.flags.writeable


def test_memory_that_is_not_writable_is_an_error_where_it_is_to_be() -> None:
    data = b"".join(dumps(np.arange(50_000)))
    with pytest.raises(DeserializationError):
        loads(data, writable=True)
    assert loads(data)[3] == 3


def test_frames_are_writable_in_place() -> None:
    pandas = pytest.importorskip("pandas")
    view = private_copy(joined(pandas.DataFrame({"a": np.arange(30_000.0), "b": np.arange(30_000)})))
    frame = loads(view, writable=True)
    frame["a"] += 1
    frame.iloc[0, 1] = 77
    assert (frame["a"].iloc[0], frame["b"].iloc[0]) == (1.0, 77)
