"""Broadcast variables: one serialised copy in shared memory, read by every executor in place.

The driver writes the value once, as block ``broadcast_N``; an executor deserialises it at its first use and keeps it
for all its tasks. Arrays come back as read-only views on the shared pages. Follows PySpark's ``Broadcast`` (API) and
Spark's ``TorrentBroadcast`` (blocks), without the torrent: there is one machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from localcluster.env import get_env
from localcluster.task_context import TaskContext
from protocol.errors import ContextError
from storage import serializer
from storage.block_id import BroadcastBlockId

T = TypeVar("T")

_loaded: dict[int, Any] = {}  # {broadcast id: value}: what this executor has deserialised
_loading = threading.Lock()


class Broadcast(Generic[T]):
    """A read-only value shared with all tasks. Make one with `SparkContext.broadcast`."""

    def __init__(self, broadcast_id: int, value: T, remove: Callable[[int, bool, bool], None]) -> None:
        self.id = broadcast_id
        self._value = value
        self._remove = remove
        self._destroyed = False
        block_id = BroadcastBlockId(broadcast_id)
        forget(broadcast_id)  # ids start anew with each context, and the driver may have loaded an earlier one's
        get_env().block_manager.put_shared(block_id, serializer.dumps(value))

    @property
    def value(self) -> T:
        """The value. In tasks, arrays in it are read-only. Raises ContextError when it was destroyed."""
        if self._destroyed:
            raise ContextError(f"Attempted to use Broadcast({self.id}) after it was destroyed")
        return self._value

    def unpersist(self, blocking: bool = False) -> None:
        """Drop the executors' deserialised copies; the next use loads it again."""
        if self._destroyed:
            raise ContextError(f"Attempted to unpersist Broadcast({self.id}) after it was destroyed")
        self._remove(self.id, False, blocking)

    def destroy(self, blocking: bool = False) -> None:
        """Drop the value everywhere; it cannot be used any more, in tasks neither."""
        if not self._destroyed:
            self._destroyed = True
            del self._value
            forget(self.id)
            self._remove(self.id, True, blocking)

    def __reduce__(self) -> Any:
        if self._destroyed:
            raise ContextError(f"Attempted to use Broadcast({self.id}) after it was destroyed")
        return _RemoteBroadcast, (self.id,)

    def __repr__(self) -> str:
        return f"Broadcast({self.id})"


class _RemoteBroadcast(Broadcast[T]):
    """The broadcast as tasks see it: an id until its value is asked for."""

    def __init__(self, broadcast_id: int) -> None:
        self.id = broadcast_id

    @property
    def value(self) -> T:
        value: T = load(self.id)
        return value

    def unpersist(self, blocking: bool = False) -> None:
        raise ContextError(errorClass="INVALID_BROADCAST_OPERATION", messageParameters={"operation": "unpersisted"})

    def destroy(self, blocking: bool = False) -> None:
        raise ContextError(errorClass="INVALID_BROADCAST_OPERATION", messageParameters={"operation": "destroyed"})

    def __reduce__(self) -> Any:
        return _RemoteBroadcast, (self.id,)


def load(broadcast_id: int) -> Any:
    """The value in this process, deserialised once. Raises ContextError when it was destroyed."""
    try:
        return _loaded[broadcast_id]
    except KeyError:
        pass
    with _loading:  # several task threads of one executor: one of them loads
        if broadcast_id not in _loaded:
            found = get_env().block_manager.get_bytes(BroadcastBlockId(broadcast_id))
            if found is None:
                in_task = "" if TaskContext.get() is None else " in a task"
                raise ContextError(f"Attempted to use Broadcast({broadcast_id}) after it was destroyed{in_task}")
            _loaded[broadcast_id] = serializer.loads(found.memoryview())
        return _loaded[broadcast_id]


def forget(broadcast_id: int) -> None:
    """Drop this process's deserialised copy."""
    _loaded.pop(broadcast_id, None)
