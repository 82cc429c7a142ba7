"""The records of one partition of a parallelised collection, on their way from the driver to a task.

Serialised when the collection is parallelised, so that later changes to it do not matter. Small ones travel with the
task, larger ones as a block in shared memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcluster.shuffle.payload import Payload, read_records
from localcluster.task.task_context import TaskContext
from protocol.errors import BlockNotFoundError, CorruptBlockError


class PartitionData:
    """``payload``: the serialised records, or the block that holds them."""

    __slots__ = ("__weakref__", "payload")

    def __init__(self, payload: Payload) -> None:
        self.payload = payload

    def __reduce__(self) -> Any:
        return PartitionData, (self.payload,)

    def read(self, context: TaskContext) -> Iterator[Any]:
        """The records; each call makes new objects. Raises CorruptBlockError, BlockNotFoundError."""
        try:
            return read_records(context.env.block_manager, self.payload)
        except (CorruptBlockError, BlockNotFoundError) as error:
            raise type(error)(
                f"the records of a partition of parallelize are lost: {error}. They were kept nowhere else: call "
                "parallelize again, or have tasks read them from files"
            ) from error
