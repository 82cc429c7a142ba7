"""What a checkpointed RDD is read from: a directory of files, or nothing but the blocks that are stored.

A checkpoint is ``part-00000`` and so on, and ``_partitioner`` if there is one. It is written aside and renamed when it
is complete, so it is whole or not there. A part is the batches of `storage.serializer`, their length in bytes (u64,
little-endian) and END: a file that lost its last batches, or all of them, with the machine's power would be a shorter
partition otherwise. Tasks use nothing of a partition but its index: an RDD made before the checkpoint may still hold
partitions of before.
"""

from __future__ import annotations

import logging
import os
import pickle
import struct
import uuid
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.input_paths import file_uri
from localcluster.rdd.output import remove_attempts
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from localcluster.shuffle.partitioner import Partitioner
from protocol import by_value
from protocol.errors import CorruptBlockError, SparkException, StorageError
from protocol.forks import lost_in_forks
from protocol.sql_errors import IllegalArgumentException
from storage import os_layer, serializer
from storage.block_id import RDDBlockId
from storage.managed_buffer import FileSegmentBuffer

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext

log = logging.getLogger(__name__)
T = TypeVar("T")
PARTITIONER = "_partitioner"
ATTEMPTS = "_temporary"
END = b"LCPARTND"
_TAIL = struct.Struct(f"<Q{len(END)}s")


class ReliableCheckpointRDD(RDD[T]):
    """The records in a checkpoint ``directory``, an absolute path. Raises IllegalArgumentException if it is missing."""

    _travels = (*RDD._travels, "directory")

    def __init__(self, ctx: JobService, directory: str) -> None:
        if not os.path.isdir(directory):
            raise IllegalArgumentException(f"requirement failed: Checkpoint directory does not exist: {directory}")
        super().__init__(ctx, partitioner=_read_partitioner(directory, ctx.applicationId))
        self.directory = directory

    def _make_partitions(self) -> list[Partition]:
        names = sorted(name for name in os_layer.list_directory(self.directory) if name.startswith("part-"))
        for index, name in enumerate(names):
            if name != _part(index):
                raise SparkException(
                    f"Invalid checkpoint file: {name} of {self.directory}, where {_part(index)} is due"
                )
        return [Partition(index) for index in range(len(names))]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        path = os.path.join(self.directory, _part(partition.index))
        try:
            data = FileSegmentBuffer(path, 0, os.path.getsize(path)).memoryview()
        except (OSError, StorageError) as error:
            raise SparkException(f"checkpoint file {path} cannot be read: {error}") from error
        length = len(data) - _TAIL.size
        if length < 0 or _TAIL.unpack(data[length:]) != (length, END):
            raise SparkException(f"checkpoint file {path} is damaged or not complete")
        return _records(data[:length], path)

    def checkpoint(self) -> None:
        """Nothing: it is one."""

    def getCheckpointFile(self) -> str | None:
        """The URI of the directory."""
        return file_uri(self.directory)


def _records(data: memoryview, path: str) -> Iterator[Any]:
    try:
        yield from serializer.deserialize_stream(data)
    except CorruptBlockError as error:
        raise SparkException(f"checkpoint file {path} is damaged: {error}") from error


class LocalCheckpointRDD(RDD[T]):
    """Stands for the blocks of ``original``: asked for a partition, it can only say that the block is lost."""

    _travels = (*RDD._travels, "original_id")

    def __init__(self, original: RDDCore[T]) -> None:
        super().__init__(original.ctx, partitioner=original.partitioner)
        self.original_id = original.id()
        self._partition_list = [Partition(index) for index in range(original.getNumPartitions())]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        block_id = RDDBlockId(self.original_id, partition.index)
        raise SparkException(
            errorClass="CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND", messageParameters={"rddBlockId": block_id.name}
        )


def write_files(rdd: RDD[Any], directory: str) -> None:
    """Write all partitions of ``rdd``, by a job, into ``directory``, which comes to be when all is written.

    Raises what the job raises, and OSError; nothing is left then but what a killed process could not remove.
    """
    parent, name = os.path.split(directory)
    aside = os.path.join(parent, f".{name}.{uuid.uuid4().hex}")
    attempts = os.path.join(aside, ATTEMPTS)
    os_layer.make_directories(attempts)
    try:
        chosen = range(rdd.getNumPartitions())
        for index, path in enumerate(rdd.ctx._jobs.run(rdd, partial(_write_part, attempts), chosen)):
            os_layer.rename(path, os.path.join(aside, _part(index)))
        if rdd.partitioner is not None:
            with os_layer.open_output(os.path.join(aside, PARTITIONER)) as file:
                placed_by = rdd.partitioner.numPartitions, rdd.partitioner.partitionFunc
                file.write(by_value.dumps((rdd.ctx.applicationId, placed_by)))
        remove_attempts(attempts)  # attempts that did not count, one of which may still be writing
        os_layer.rename(aside, directory)
    except BaseException:
        remove_attempts(aside)
        raise


def _write_part(attempts: str, task_context: TaskContext, records: Iterator[Any]) -> str:
    """Write one partition into a file of its own; its path."""
    path = os.path.join(attempts, uuid.uuid4().hex)
    with os_layer.open_output(path) as file, lost_in_forks(file):
        serializer.serialize_stream(records, file.write)
        file.write(_TAIL.pack(file.tell(), END))
    return path


def _part(index: int) -> str:
    return f"part-{index:05d}"


def _read_partitioner(directory: str, application_id: str) -> Partitioner | None:
    """The partitioner, if this application wrote one: in another one keys may hash otherwise (another seed, another
    Python). It only saves shuffles, so one that cannot be read does no harm.
    """
    try:
        written_by, placed_by = pickle.loads(os_layer.read_all(os.path.join(directory, PARTITIONER)))
        return Partitioner(*placed_by) if written_by == application_id else None
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever unpickling somebody's function raises
        log.warning("the partitioner of checkpoint %s cannot be read: %r", directory, error)
        return None
