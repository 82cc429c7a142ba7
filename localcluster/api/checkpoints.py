"""`Checkpoints`: the part of a context that knows where checkpoints go and which RDDs wait for theirs.

What marks an RDD, writes a checkpoint and reads one is in ``rdd.checkpoint`` and ``rdd.checkpoint_rdd``.
"""

from __future__ import annotations

import os
import uuid
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from localcluster.base.arguments import PathLike, path_text
from localcluster.rdd.checkpoint import write_checkpoint
from localcluster.rdd.core import RDDCore
from localcluster.rdd.input_paths import file_uri, local_path
from protocol.errors import SparkException

if TYPE_CHECKING:
    from localcluster.api.context import SparkContext
    from localcluster.rdd.rdd import RDD


class Checkpoints:
    """A part of `SparkContext`."""

    _checkpoint_dir: str | None = None
    _marked: weakref.WeakValueDictionary[int, RDD[Any]]

    def setCheckpointDir(self, dirName: PathLike) -> None:
        """Where checkpoints go: a new directory in ``dirName``, a path or ``file:`` URI. It stays when the context
        ends.

        Raises SparkException when the directory cannot be made, ValueError for another file system's URI.
        """
        parent = local_path(path_text(dirName, "dirName"))
        directory = os.path.join(parent, str(uuid.uuid4()))
        try:
            os.makedirs(directory)
        except OSError as error:
            raise SparkException(f"the checkpoint directory {directory} cannot be made: {error}") from error
        self._checkpoint_dir = directory

    def getCheckpointDir(self) -> str | None:
        """The URI of the directory that `setCheckpointDir` made; None before."""
        return None if self._checkpoint_dir is None else file_uri(self._checkpoint_dir)

    def _checkpointFile(self, name: PathLike, input_deserializer: Any = None) -> RDD[Any]:
        """The RDD in a checkpoint, of this or of an earlier context: ``name`` is what `RDD.getCheckpointFile` gave.

        ``input_deserializer`` has no meaning here. Raises IllegalArgumentException for a directory that does not exist.
        """
        from localcluster.rdd.checkpoint_rdd import ReliableCheckpointRDD

        directory = local_path(path_text(name, "name"))
        return ReliableCheckpointRDD(cast("SparkContext", self), directory)

    def mark_for_checkpoint(self, rdd: RDD[Any]) -> None:
        """Have `write_checkpoints` look at ``rdd``."""
        self._marked[rdd.id()] = rdd

    def write_checkpoints(self, rdd: RDDCore[Any]) -> None:
        """After a job on ``rdd``: write the checkpoints of marked RDDs that it was computed from, the nearest on each
        path. Raises what the jobs that write raise.
        """
        if self._marked:
            for member in _nearest_marked(rdd):
                write_checkpoint(member)
                if member._checkpoint_rdd is not None:
                    self._marked.pop(member.id(), None)


def _nearest_marked(rdd: RDDCore[Any]) -> Iterator[RDDCore[Any]]:
    """Marked RDDs without a checkpoint, and what is behind those that do not lie behind another one."""
    seen: set[int] = set()
    todo = [rdd]
    while todo:  # a stack of our own: lineages can be thousands deep
        member = todo.pop()
        if member.id() in seen:
            continue
        seen.add(member.id())
        if member._checkpoint is not None and member._checkpoint_rdd is None:
            yield member
        else:
            todo += [dependency.rdd for dependency in member.dependencies]
