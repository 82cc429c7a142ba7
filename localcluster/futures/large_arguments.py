"""Pickling calls so that large arrays go once, as broadcasts in shared memory, and not with each call.

Covers which values those are, how it is known that one is the same as before, and how long its block lives: while a
call that needs it is pending, or the program still has the value and so may pass it again. Wherever a large array is in
what is pickled (arguments, attributes, closures, globals of functions that go by value), it is found.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary, ref

from xxhash import xxh3_128

from localcluster.futures.mapped_files import reopening
from localcluster.task.broadcast import Broadcast, load
from protocol import by_value
from protocol.errors import LocalClusterError, SerializationError
from protocol.forks import free_in_forks
from storage.exact_types import are_exact

BY_NAME = (FunctionType, BuiltinFunctionType, type)
LIBRARIES = ("numpy", "pyarrow")  # pandas, SciPy and scikit-learn keep their data in arrays of these
Block = Broadcast[Any]


class LargeArguments:
    """Blocks of one executor's large arguments.

    ``max_nbytes``: values of so many bytes become blocks; None: none does. ``broadcast(value)`` makes a block, which is
    removed when it is collected.
    """

    def __init__(self, broadcast: Callable[[Any], Block], max_nbytes: int | None) -> None:
        self.kept: object = None
        """Blocks that any call may need."""
        self._broadcast = broadcast
        self._max_nbytes = max_nbytes
        self._lock = free_in_forks(threading.RLock())
        self._epochs = count()
        self._epoch = next(self._epochs)
        self._known: dict[int, _Known] = {}  # by the address of a value that lives
        self._blocks: WeakValueDictionary[bytes, Block] = WeakValueDictionary()  # by what is in them

    def values_may_have_changed(self) -> None:
        """Look at what is in a value, when it comes the next time, before the block is taken that it had."""
        self._epoch = next(self._epochs)  # of several threads, each has one of its own

    def dumps(self, value: object) -> tuple[bytes, list[Block]]:
        """A pickle, and the blocks that must live until it was read. Raises SerializationError."""
        plain = _plain_pickle(value)
        if plain is not None:
            return plain, []
        with io.BytesIO() as file:
            pickler = _Pickler(file, self)
            try:
                pickler.dump(value)
            except LocalClusterError:
                raise
            except Exception as error:
                raise SerializationError(f"Could not serialize object: {type(error).__name__}: {error}") from error
            return file.getvalue(), pickler.blocks

    def dumps_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, list[Block]]:
        """Bytes that are an argument themselves are looked at as well: picklers do not ask about them."""
        args = tuple(self._wrapped(value) for value in args)
        kwargs = {name: self._wrapped(value) for name, value in kwargs.items()}
        return self.dumps((args, kwargs))

    def clear(self) -> None:
        """Forget the values; blocks go when no pending call needs them."""
        self.kept = None
        self._known.clear()

    def _wrapped(self, value: Any) -> Any:
        is_large = self._max_nbytes is not None and type(value) is bytes and len(value) >= self._max_nbytes
        return _LargeBytes(value) if is_large else value

    def block_of(self, value: Any) -> Block | None:
        """None: it is small, or has to go by itself."""
        if self._max_nbytes is None or not _nbytes(value) >= self._max_nbytes:
            return None
        with self._lock:
            known = self._known.get(id(value))
            if known is not None and known.epoch == self._epoch:
                return known.block
            content = _digest(value)
            block = self._blocks.get(content)
            if block is None:
                self._blocks[content] = block = self._broadcast(value)
            self._remember(value, block)
            return block

    def bytes_block(self, value: bytes) -> Block:
        with self._lock:
            content = b"bytes" + xxh3_128(value).digest()
            block = self._blocks.get(content)
            if block is None:
                self._blocks[content] = block = self._broadcast(value)
            return block

    def _remember(self, value: object, block: Block) -> None:
        address, known = id(value), self._known
        with suppress(TypeError):  # it cannot be referred to weakly
            known[address] = _Known(ref(value, lambda _: known.pop(address, None)), self._epoch, block)


class _Known(NamedTuple):
    value: ref[Any]  # its callback forgets it
    epoch: int  # when it was last looked at
    block: Block


class _LargeBytes:
    def __init__(self, value: bytes) -> None:
        self.value = value


class _Pickler(by_value.Pickler):
    def __init__(self, file: Any, large: LargeArguments) -> None:
        super().__init__(file)
        self._large = large
        self.blocks: list[Block] = []

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is _LargeBytes:
            return self._in_block(self._large.bytes_block(obj.value))
        if type(obj).__module__.startswith(LIBRARIES):
            reopened = reopening(obj)
            if reopened is not None:
                return reopened
            block = self._large.block_of(obj)
            if block is not None:
                return self._in_block(block)
        return super().reducer_override(obj)

    def _in_block(self, block: Block) -> Any:
        self.blocks.append(block)
        return value_of, (block,)


def value_of(block: Block) -> Any:
    """In a task: a view of the block, the same object for all calls in one process, and so read-only."""
    return load(block.id, read_only=True)


def _plain_pickle(value: object) -> bytes | None:
    """A pickle of what holds no array for sure, in a tenth of the time; None: it may, or goes by value."""
    is_of_a_value = not isinstance(getattr(value, "__self__", None), (ModuleType, type(None)))  # array.sum, say
    if is_of_a_value or (type(value) not in BY_NAME and not are_exact([value])):
        return None
    try:
        data = pickle.dumps(value, 5)
    except Exception:  # a lambda, say
        return None
    return None if by_value.names_only_here(data) else data


def _nbytes(value: Any) -> int:
    """How large a value is that may become a block. Arrays of Python objects may not: tasks would share these."""
    if isinstance(value, type) or getattr(getattr(value, "dtype", None), "hasobject", False):
        return 0
    size = getattr(value, "nbytes", 0)
    return size if type(size) is int else 0


def _digest(value: object) -> bytes:
    """Equal for values that are pickled alike: 6 ms for 64 MB, where a block takes 20."""
    buffers: list[pickle.PickleBuffer] = []
    digest = xxh3_128(pickle.dumps(value, 5, buffer_callback=buffers.append))
    for buffer in buffers:
        digest.update(buffer.raw())
    return digest.digest()
