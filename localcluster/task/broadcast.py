"""Broadcast variables: one serialised copy in shared memory, read by every executor in place.

The driver writes the value once, as block ``broadcast_N``; every process, the driver too, deserialises it at its first
use and keeps the result. In tasks, large arrays are the shared pages, copied page by page where a task writes to them;
that is seen by the tasks of its executor only, as in PySpark. Follows PySpark's ``Broadcast`` (API) and Spark's
``TorrentBroadcast`` (blocks), without the torrent: there is one machine.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, NoReturn, TypeVar
from weakref import WeakValueDictionary

from localcluster.base.arguments import PathLike
from localcluster.task.env import get_env
from localcluster.task.task_context import TaskContext
from protocol.errors import (
    BlockNotFoundError,
    ContextError,
    CorruptBlockError,
    ForkedChannelError,
    LocalClusterError,
    SerializationError,
    SparkException,
    StaleLocationError,
)
from protocol.forks import free_in_forks
from storage import serializer
from storage.block_id import BroadcastBlockId
from storage.own_values import private_of

if TYPE_CHECKING:
    from storage.block_manager import BlockManager
    from storage.managed_buffer import ManagedBuffer

log = logging.getLogger(__name__)

T = TypeVar("T")

LARGE = 16 << 20  # bytes; a look at them costs more than a millisecond
LOOKING = 20  # how many times as long as a look took there is none

_loaded: dict[int, Any] = {}  # {broadcast id: value}: what tasks of this process have deserialised
_mapped: dict[int, _Mapped] = {}  # {broadcast id: shared pages that its value has not copied}
_loading = free_in_forks(threading.RLock())  # unpickling a value may load the value of a broadcast within it
_made: WeakValueDictionary[int, Broadcast[Any]] = WeakValueDictionary()  # by address, as the next
_in_tasks: WeakValueDictionary[int, Broadcast[Any]] = WeakValueDictionary()
_referred: set[int] = set()  # ids of those that this process referred to since `note_uses`
_found: dict[int, ManagedBuffer] = {}  # {broadcast id: its bytes}: what forks of this process can load


@dataclass
class _Mapped:
    """Pages that can be damaged after they were read, so that tasks look at them again: each one at small ones."""

    data: ManagedBuffer
    task_id: int  # the last one that looked
    again_at: float  # time.monotonic()


class Broadcast(Generic[T]):
    """A read-only value shared with all tasks. Make one with `SparkContext.broadcast`.

    >>> b = sc.broadcast([1, 2, 3])
    >>> sc.parallelize([0, 0]).flatMap(lambda x: b.value).collect()
    [1, 2, 3, 1, 2, 3]
    """

    def __init__(
        self, broadcast_id: int, value: T, remove: Callable[[int, bool, bool], None], keep: bool = True
    ) -> None:
        """``keep``: hold on to the value's own arrays, of which a damaged block can be written anew."""
        self.id = broadcast_id
        self._remove = remove
        self._destroyed = False
        self._found: ManagedBuffer | None = None  # what a fork of this process can load
        forget(broadcast_id)  # ids start anew with each context, and the driver may have loaded an earlier one's
        self._blocks = get_env().block_manager
        self._blocks.put_shared(BroadcastBlockId(broadcast_id), _serialize(value), keep=keep)
        _made[id(self)] = self

    @property
    def value(self) -> T:
        """The value as it was when it was broadcast: a copy, in each process.

        Raises SparkException when it was destroyed.
        """
        self._require_undestroyed()
        _referred.add(self.id)
        with _loading:
            if not hasattr(self, "_value"):  # not kept from the start: the program may change what it broadcast
                self._value: T = self._load()
            return self._value

    def _load(self) -> T:
        """Read, not mapped: the driver must not die when a segment is cut short."""
        block_id = BroadcastBlockId(self.id)
        location = None if self._found else self._blocks.shared_location(block_id)
        try:
            if location is not None:
                value: T = self._blocks.load_location(location, block_id)
                return value
        except (StaleLocationError, CorruptBlockError) as error:
            log.warning("%s is read once more: %s", block_id, str(error))
        value = _value_of(self._found or _bytes_of(self._blocks, self.id))
        return value

    def dump(self, value: T, f: BinaryIO) -> None:
        """Pickle any value into a file, and close that. Raises PicklingError.

        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = os.path.join(directory, "dumped")
        ...     b.dump({"a": 1}, open(path, "wb"))
        ...     b.load_from_path(path)
        {'a': 1}
        """
        try:
            pickle.dump(value, f, pickle.HIGHEST_PROTOCOL)
        except pickle.PickleError:
            raise
        except Exception as error:
            raise _could_not_serialize(error) from error
        f.close()

    def load_from_path(self, path: PathLike) -> T:
        """What `dump` wrote into the file at a path."""
        with open(path, "rb") as file:
            return self.load(file)

    def load(self, file: BinaryIO) -> T:
        """What `dump` wrote into a file, from where the file is now."""
        value: T = pickle.load(file)
        return value

    def unpersist(self, blocking: bool = False) -> None:
        """Drop the executors' deserialised copies; the next use loads it again."""
        self._require_undestroyed()
        self._remove(self.id, False, blocking)

    def destroy(self, blocking: bool = False) -> None:
        """Drop the value everywhere; it cannot be used any more, in tasks neither."""
        self._require_undestroyed()
        self._destroyed = True
        self._found = None
        vars(self).pop("_value", None)
        forget(self.id)
        self._remove(self.id, True, blocking)

    def _find_for_fork(self) -> None:
        if not self._destroyed and not hasattr(self, "_value"):
            self._found = self._found or _bytes_of(self._blocks, self.id)

    def _require_undestroyed(self) -> None:
        if self._destroyed:
            _raise_destroyed(self.id)

    def __reduce__(self) -> Any:
        self._require_undestroyed()
        return _RemoteBroadcast, (self.id,)

    def __repr__(self) -> str:
        return f"Broadcast({self.id})"


class _RemoteBroadcast(Broadcast[T]):
    """The broadcast as tasks see it: an id until its value is asked for."""

    def __init__(self, broadcast_id: int) -> None:
        self.id = broadcast_id
        self._destroyed = False
        _in_tasks[id(self)] = self
        _referred.add(broadcast_id)

    @property
    def value(self) -> T:
        value: T = load(self.id)
        return value

    def _find_for_fork(self) -> None:
        if self.id not in _loaded and self.id not in _found:
            _found[self.id] = _bytes_of(get_env().block_manager, self.id)

    def unpersist(self, blocking: bool = False) -> None:
        raise ContextError(errorClass="INVALID_BROADCAST_OPERATION", messageParameters={"operation": "unpersisted"})

    def destroy(self, blocking: bool = False) -> None:
        raise ContextError(errorClass="INVALID_BROADCAST_OPERATION", messageParameters={"operation": "destroyed"})


def _serialize(value: Any) -> list[Any]:
    try:
        return serializer.dumps(value)
    except LocalClusterError as error:  # also an RDD or a context inside of the value
        raise _could_not_serialize(error) from error


def _could_not_serialize(error: Exception) -> SerializationError:
    origin = error.__cause__ if isinstance(error, SerializationError) and error.__cause__ else error
    found = "" if origin is error else f" ({error})"  # which part of the value it was
    return SerializationError(f"Could not serialize broadcast: {type(origin).__name__}: {origin}{found}")


def load(broadcast_id: int, *, read_only: bool = False) -> Any:
    """The value in this process, deserialised once. ``read_only``: its arrays are, if the first task asks so. Raises
    SparkException when it was destroyed, ContextError where no context runs.
    """
    if broadcast_id in _mapped:
        _look_again(broadcast_id)
    try:
        return _loaded[broadcast_id]
    except KeyError:
        pass
    with _loading:  # several task threads of one executor: one of them loads
        if broadcast_id not in _loaded:
            found = _found.get(broadcast_id) or _bytes_of(_block_manager(broadcast_id), broadcast_id)
            _loaded[broadcast_id] = _value_of(found, read_only)
            _note_mapped(broadcast_id, found)
        return _loaded[broadcast_id]


def _look_again(broadcast_id: int) -> None:
    """Once in each task, and at large ones for a small part of the time only."""
    context, began = TaskContext.get(), time.monotonic()
    with _loading:
        mapped = _mapped.get(broadcast_id)
        if mapped is None or context is None or mapped.task_id == context.taskAttemptId() or began < mapped.again_at:
            return
        mapped.task_id = context.taskAttemptId()
        try:
            serializer.check(mapped.data.memoryview())
            if mapped.data.size >= LARGE:
                mapped.again_at = began + LOOKING * (time.monotonic() - began)
        except CorruptBlockError as error:
            log.warning("broadcast %d is loaded again: %s", broadcast_id, str(error))
            forget(broadcast_id)


def _block_manager(broadcast_id: int) -> BlockManager:
    try:
        return get_env().block_manager
    except ContextError as error:
        parameters = {"variable": str(broadcast_id)}
        raise ContextError(errorClass="BROADCAST_VARIABLE_NOT_LOADED", messageParameters=parameters) from error


def _bytes_of(blocks: BlockManager, broadcast_id: int) -> ManagedBuffer:
    block_id = BroadcastBlockId(broadcast_id)
    try:
        found = blocks.get_bytes(block_id)
    except ForkedChannelError as error:
        reason = f"Broadcast({broadcast_id}) was not known to the task when this process was forked; refer to it before"
        raise ContextError(reason) from error
    if found is None and blocks.master.get_block_status(block_id):
        reason = f"is damaged, or this process cannot read it now: {blocks.why_unread}"
        raise BlockNotFoundError(f"{block_id} exists, but {reason}")
    if found is None:
        _raise_destroyed(broadcast_id, ", or when no process had used it for spark.cleaner.ttl" * blocks.drops_unused)
    return found


def _value_of(data: ManagedBuffer, read_only: bool = False) -> Any:
    if read_only:
        return serializer.loads(data.memoryview(), checked=True)
    private = private_of(data) if TaskContext.get() is not None else None  # the driver maps nothing, see `_load`
    if private is not None:
        return serializer.loads(private, checked=True, writable=True)
    return serializer.loads(data.memoryview(), copy=True, checked=True)


def _note_mapped(broadcast_id: int, data: ManagedBuffer) -> None:
    context = TaskContext.get()
    if context is not None and serializer.has_buffers(data.memoryview()):
        _mapped[broadcast_id] = _Mapped(data, context.taskAttemptId(), 0.0)


def _raise_destroyed(broadcast_id: int, else_gone: str = "") -> NoReturn:
    """Raise the SparkException of a broadcast that is not there any more."""
    raise SparkException(f"Attempted to use Broadcast({broadcast_id}) after it was destroyed{else_gone}")


def forget(broadcast_id: int) -> None:
    """Drop this process's deserialised copy."""
    _loaded.pop(broadcast_id, None)
    _mapped.pop(broadcast_id, None)
    _found.pop(broadcast_id, None)
    _referred.discard(broadcast_id)


def note_uses(blocks: BlockManager) -> None:
    """Tell which broadcasts are in use: those that tasks of this process refer to, or did since the last call, whether
    or not they ask for the value, and those whose value the driver's program asked for.
    """
    used = {variable.id for variable in _living(_in_tasks)} | _referred
    _referred.difference_update(used)
    for broadcast_id in used:
        blocks.note_use(BroadcastBlockId(broadcast_id))


def _living(variables: WeakValueDictionary[int, Broadcast[Any]]) -> list[Broadcast[Any]]:
    """While other threads make more."""
    return [variable for reference in variables.valuerefs() if (variable := reference()) is not None]


def _find_for_fork() -> None:
    """Before a fork: find what it may read. It cannot ask where that is, and may read it when it is gone here."""
    for variable in [*_living(_made), *_living(_in_tasks)]:
        try:
            variable._find_for_fork()
        except LocalClusterError as error:  # it may be destroyed, and nobody's loss
            log.debug("%r will be unknown in a fork: %s", variable, error)


os.register_at_fork(before=_find_for_fork)
