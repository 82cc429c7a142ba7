"""Checkpointing: an RDD's records are stored, and what it was computed from is forgotten.

`Checkpointing` holds the methods of RDDs; `Checkpoint` is the mark that they leave, which the first job after it acts
on; `Checkpoints` knows the marked RDDs of a context. Follows Spark's ``RDDCheckpointData``. What is read afterwards is
in `checkpoint_rdd`.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.base.arguments import PathLike, path_text
from localcluster.base.storage_level import StorageLevel
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.input_paths import file_uri, local_path
from localcluster.rdd.lineage import walk
from protocol.errors import SparkException
from storage import os_layer

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

log = logging.getLogger(__name__)
T = TypeVar("T")


class Checkpoint:
    """The mark on an RDD that is to be checkpointed. The lock belongs to the thread that writes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def write(self, rdd: RDDCore[Any]) -> RDDCore[Any]:
        """Store the records of ``rdd``, by a job; the RDD that reads them. Raises what the job raises."""
        raise NotImplementedError


class ReliableCheckpoint(Checkpoint):
    """Files in ``directory``, an absolute path."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = directory

    def write(self, rdd: RDDCore[Any]) -> RDDCore[Any]:
        from localcluster.rdd.checkpoint_rdd import ReliableCheckpointRDD, write_files

        write_files(cast("RDD[Any]", rdd), self.directory)
        written: RDDCore[Any] = ReliableCheckpointRDD(rdd.ctx, self.directory)
        if written.getNumPartitions() != rdd.getNumPartitions():
            raise SparkException(
                f"Checkpoint RDD {written} has {written.getNumPartitions()} partitions, and the original {rdd} has "
                f"{rdd.getNumPartitions()}: somebody changed {self.directory}"
            )
        rdd.ctx._kept.register_checkpoint(written, self.directory)
        return written


class LocalCheckpoint(Checkpoint):
    """The RDD's blocks, which have to be there from then on."""

    def write(self, rdd: RDDCore[Any]) -> RDDCore[Any]:
        from localcluster.rdd.checkpoint_rdd import LocalCheckpointRDD

        missing = rdd.ctx._kept.missing_partitions(rdd)
        if missing:
            rdd._per_partition(_use_up, missing)
        return LocalCheckpointRDD(rdd)


class Checkpointing(RDDCore[T]):
    """``checkpoint`` and ``localCheckpoint``."""

    def checkpoint(self) -> None:
        """Mark this RDD: the next job on it, or on an RDD made of it, also writes it into the checkpoint directory, and
        from then on it is read from there. That is a second pass over it, so it had better be persisted.

        An error while it writes fails that job; nothing of the checkpoint is left then, and the mark stays.

        Raises SparkException when there is no checkpoint directory.

        >>> from tempfile import TemporaryDirectory
        >>> rdd = sc.range(5)
        >>> with TemporaryDirectory() as directory:
        ...     sc.setCheckpointDir(directory)
        ...     rdd.checkpoint()
        ...     rdd.isCheckpointed(), rdd.count(), rdd.isCheckpointed()
        (False, 5, True)
        """
        directory = self.ctx._checkpoints.directory
        if directory is None:
            raise SparkException("Checkpoint directory has not been set in the SparkContext")
        self.is_checkpointed = True
        if self._checkpoint is None:
            self._mark(ReliableCheckpoint(os.path.join(directory, f"rdd-{self._id}")))

    def isCheckpointed(self) -> bool:
        """Whether the checkpoint, of either kind, has been written."""
        return self._checkpoint_rdd is not None

    def getCheckpointFile(self) -> str | None:
        """The URI of the directory that this RDD was checkpointed into; None before, and for a local checkpoint."""
        if self.isCheckpointed() and isinstance(self._checkpoint, ReliableCheckpoint):
            return file_uri(self._checkpoint.directory)
        return None

    def localCheckpoint(self) -> None:
        """Mark this RDD: the next job on it, or on an RDD made of it, persists all of it, and from then on its blocks
        are all there is of it.

        Its storage level gets a disk part if it has none; it is MEMORY_AND_DISK_DESER if there is no level. Blocks of
        Python objects die with their executor. `persist` it at ``DISK_ONLY`` or ``OFF_HEAP`` to be safe from that.
        """
        if isinstance(self._checkpoint, LocalCheckpoint):
            return
        if self.isCheckpointed():
            log.warning("%r is not checkpointed locally: it has been checkpointed already", self)
            return
        is_cached = self.is_cached
        self._keeps_disk = True
        self.persist(self._storage_level if self._storage_level.is_valid else StorageLevel.MEMORY_AND_DISK_DESER)
        self.is_cached = is_cached  # PySpark's flag says what the program itself asked for
        self._mark(LocalCheckpoint())

    def isLocallyCheckpointed(self) -> bool:
        """Whether `localCheckpoint` was called, whether or not the blocks are there yet.

        >>> rdd = sc.range(5)
        >>> rdd.localCheckpoint()
        >>> rdd.isLocallyCheckpointed()
        True
        """
        return isinstance(self._checkpoint, LocalCheckpoint)

    def cleanShuffleDependencies(self, blocking: bool = False) -> None:
        """Remove the outputs of the shuffles that this RDD is computed from, back to persisted RDDs; wait until they
        are gone if ``blocking``. A job that needs them computes them again.
        """
        for dependency in _shuffles_behind(self):
            self.ctx._kept.remove_shuffle(dependency.shuffle.id, blocking)

    def _mark(self, mark: Checkpoint) -> None:
        self._checkpoint = mark
        self.ctx._checkpoints.mark(cast("RDD[Any]", self))


class Checkpoints:
    """Where a context's checkpoints go, and which RDDs wait for theirs."""

    def __init__(self) -> None:
        self.directory: str | None = None
        self.marked: weakref.WeakValueDictionary[int, RDD[Any]] = weakref.WeakValueDictionary()

    def make_directory(self, parent: PathLike) -> None:
        """Make a new directory in ``parent``, a path or URI, for all checkpoints from now on.

        Raises SparkException when it cannot be made, ValueError for another file system's URI.
        """
        directory = os.path.join(local_path(path_text(parent, "dirName")), str(uuid.uuid4()))
        try:
            os_layer.make_directories(directory)
        except OSError as error:
            raise SparkException(f"the checkpoint directory {directory} cannot be made: {error}") from error
        self.directory = directory

    def mark(self, rdd: RDD[Any]) -> None:
        """Have `write` look at ``rdd``."""
        self.marked[rdd.id()] = rdd

    def write(self, rdd: RDDCore[Any]) -> None:
        """After a job on ``rdd``: write the checkpoints of marked RDDs that it was computed from, the nearest on each
        path. Raises what the jobs that write raise.
        """
        if self.marked:
            for member in _nearest_marked(rdd):
                write_checkpoint(member)
                if member._checkpoint_rdd is not None:
                    self.marked.pop(member.id(), None)


def _nearest_marked(rdd: RDDCore[Any]) -> list[RDDCore[Any]]:
    """Marked RDDs without a checkpoint that do not lie behind another one."""
    found = walk(rdd, lambda member: () if _waits(member) else [d.rdd for d in member.dependencies])
    return [member for member in found if _waits(member)]


def _waits(rdd: RDDCore[Any]) -> bool:
    return rdd._checkpoint is not None and rdd._checkpoint_rdd is None


def _shuffles_behind(rdd: RDDCore[Any]) -> Iterator[ShuffleDependency]:
    """The shuffles that ``rdd`` is computed from, those behind persisted RDDs excepted."""
    for member in walk(rdd, lambda m: [d.rdd for d in m.dependencies if not d.rdd.getStorageLevel().is_valid]):
        yield from (dependency for dependency in member.dependencies if isinstance(dependency, ShuffleDependency))


def write_checkpoint(rdd: RDDCore[Any]) -> None:
    """Act on the mark of ``rdd``: write, then cut its lineage. Does nothing if another thread is at it.

    Raises what the job that writes raises; the lineage stays whole then.
    """
    mark = rdd._checkpoint
    if mark is None or not mark.lock.acquire(blocking=False):
        return
    try:
        if rdd._checkpoint_rdd is None:
            rdd._cut_lineage(mark.write(rdd))
    finally:
        mark.lock.release()


def _use_up(records: Any) -> None:
    for _ in records:
        pass
