from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

from localcluster.futures import large_arguments
from localcluster.futures.large_arguments import LargeArguments
from protocol.errors import SerializationError

SIZE = 1000  # numbers: 8000 bytes
MAX = 4000
received: dict[int, Any] = {}


class Block:
    """Stands for a broadcast."""

    def __init__(self, value: Any) -> None:
        self.number = len(received)
        received[self.number] = pickle.loads(pickle.dumps(value))

    def __reduce__(self) -> Any:
        return Arrived, (self.number,)


class Arrived:
    """As tasks see it."""

    def __init__(self, number: int) -> None:
        self.id = number


@pytest.fixture(autouse=True)
def blocks_are_received(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arguments, "load", lambda number, read_only: received[number])


class Blocks:
    def __init__(self, max_nbytes: int | None = MAX) -> None:
        self.made = 0
        self.living: WeakSet[Block] = WeakSet()
        self.large = LargeArguments(self.make, max_nbytes)

    def make(self, value: Any) -> Any:
        block = Block(value)
        self.made += 1
        self.living.add(block)
        return block

    def call(self, function: Any, *args: Any) -> tuple[Any, list[Any]]:
        """What the call gives when it is made from its pickle, and the blocks that it keeps."""
        self.large.values_may_have_changed()
        (called, of_function), (given, of_arguments) = self.large.dumps(function), self.large.dumps_arguments(args, {})
        received_args, kwargs = pickle.loads(given)
        return pickle.loads(called)(*received_args, **kwargs), of_function + of_arguments


def array(start: int = 0) -> Any:
    return np.arange(start, start + SIZE)


def test_an_array_goes_once_however_many_calls_have_it() -> None:
    blocks, numbers = Blocks(), array()
    kept = [blocks.call(lambda a, i: int(a[i]), numbers, i) for i in range(3)]
    assert [result for result, _ in kept] == [0, 1, 2]
    assert blocks.made == 1


def test_small_arrays_and_those_of_objects_go_with_the_call() -> None:
    blocks = Blocks()
    blocks.call(len, np.arange(10))
    blocks.call(len, np.array([[]] * SIZE, dtype=object))
    unlimited = Blocks(max_nbytes=None)
    unlimited.call(len, array())
    assert blocks.made == unlimited.made == 0


def test_arrays_are_found_in_closures_attributes_and_containers() -> None:
    blocks, numbers = Blocks(), array()

    class Model:
        weights = numbers

        def __init__(self) -> None:
            self.data = [{"x": numbers}]

    assert blocks.call(lambda: int(numbers.sum()))[0] == blocks.call(numbers.sum)[0] == int(numbers.sum())
    blocks.call(lambda model: None, Model())
    assert blocks.made == 1
    data, _ = blocks.large.dumps(numbers.sum)
    assert len(data) < MAX


def test_an_array_that_was_changed_between_two_calls_is_another_one() -> None:
    blocks, numbers = Blocks(), array()
    assert blocks.call(lambda a: int(a[0]), numbers)[0] == 0
    numbers[0] = 5
    assert blocks.call(lambda a: int(a[0]), numbers)[0] == 5
    assert blocks.made == 2


def test_equal_arrays_share_a_block_and_equal_bytes_of_other_types_do_not() -> None:
    blocks = Blocks()
    kept = [blocks.call(len, value) for value in (array(), array(), array().view("f8"), array().reshape(2, -1))]
    assert blocks.made == 3
    assert [result for result, _ in kept] == [SIZE, SIZE, SIZE, 2]


def test_a_block_lives_while_its_array_does_or_a_call_needs_it() -> None:
    blocks, numbers = Blocks(), array()
    _, needed = blocks.call(len, numbers)
    del needed
    gc.collect()
    assert len(blocks.living) == 1, "the program may pass the array again"
    _, needed = blocks.call(len, numbers)
    del numbers
    gc.collect()
    assert len(blocks.living) == 1, "a call needs it"
    del needed
    gc.collect()
    assert len(blocks.living) == 0
    assert blocks.made == 1


def test_forgetting_the_values_leaves_what_calls_need() -> None:
    blocks, numbers = Blocks(), array()
    _, needed = blocks.call(len, numbers)
    blocks.large.clear()
    assert len(blocks.living) == 1
    del needed
    assert len(blocks.living) == 0


def test_bytes_that_are_an_argument_go_once() -> None:
    blocks, data = Blocks(), b"x" * 2 * MAX
    kept = [blocks.call(len, data) for _ in range(2)]
    assert [result for result, _ in kept] == [2 * MAX] * 2
    assert blocks.made == 1
    del kept
    assert len(blocks.living) == 0, "bytes cannot be referred to weakly"


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_frames_and_tables_go_once(library: str) -> None:
    module = pytest.importorskip(library)
    value = module.DataFrame({"x": array()}) if library == "pandas" else module.table({"x": array()})
    blocks = Blocks()
    kept = [blocks.call(len, value) for _ in range(2)]
    assert [result for result, _ in kept] == [SIZE] * 2
    assert blocks.made == 1


def test_what_cannot_be_pickled_is_said() -> None:
    with pytest.raises(SerializationError, match="generator"):
        Blocks().call(len, (i for i in ()))


# --- mapped files ---


def map_file(directory: Path, mode: str = "r+") -> Any:
    """Not a fixture: what one gives lives longer than the look for open files."""
    if not (directory / "numbers").exists():
        array().tofile(directory / "numbers")
    return np.memmap(directory / "numbers", dtype="int64", mode=mode)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "part",
    [lambda a: a, lambda a: a[100:], lambda a: np.asarray(a)[10:20], lambda a: a.reshape(10, -1).T, lambda a: a[5:5]],
    ids=["whole", "slice", "array", "transposed", "empty"],
)
def test_arrays_on_files_go_as_the_files_name(tmp_path: Path, part: Any) -> None:
    blocks, mapped = Blocks(max_nbytes=1), map_file(tmp_path)
    given, _ = blocks.call(lambda a: a, part(mapped))
    assert np.array_equal(given, part(mapped))
    assert blocks.made == 0


def test_what_tasks_write_into_a_file_that_is_open_for_writing_all_see(tmp_path: Path) -> None:
    mapped = map_file(tmp_path)

    def write(a: Any) -> None:
        a[3] = -1

    Blocks().call(write, mapped)
    assert mapped[3] == -1


def test_what_cannot_be_opened_again_goes_as_what_is_in_it(tmp_path: Path) -> None:
    blocks, mapped = Blocks(), map_file(tmp_path)
    assert blocks.call(lambda a: int(a[1]), mapped[::2])[0] == 2  # not contiguous
    changed = map_file(tmp_path, "c")
    changed[0] = 9
    assert blocks.call(lambda a: int(a[0]), changed)[0] == 9
    (tmp_path / "numbers").unlink()
    assert blocks.call(lambda a: int(a[5]), mapped)[0] == 5
