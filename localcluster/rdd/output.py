"""``saveAsTextFile`` and ``saveAsPickleFile``: one file a partition, complete or not there at all.

Each attempt of a task writes aside, under a name of its own; the driver renames the files of those that counted.
Attempts that fail or run twice do no harm. ``_SUCCESS`` appears when all files are there.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, cast

from localcluster.base.arguments import PathLike, check_type, path_text
from localcluster.conf.settings import Settings
from localcluster.rdd.compression import codec_extension, create
from localcluster.rdd.hadoop import HadoopOutput
from localcluster.rdd.input_paths import file_uri, local_path
from localcluster.rdd.pickle_files import write_pickles
from protocol.errors import OutputExistsError, SparkException
from protocol.forks import lost_in_forks
from storage import os_layer

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD
    from localcluster.task.task_context import TaskContext

log = logging.getLogger(__name__)
T = TypeVar("T")
TEMPORARY = "_temporary"
REMOVALS = 10  # more than an executor has attempts that may end at the same moment


class _Write(Protocol):
    def __call__(self, file: BinaryIO, records: Iterator[Any]) -> None: ...


class Output(HadoopOutput[T]):
    """Actions that write files."""

    def saveAsTextFile(self, path: PathLike, compressionCodecClass: str | None = None) -> None:
        """Write each record as a line of UTF-8 into ``path/part-00000`` and so on; what is not str or bytes, as ``str``
        of it.

        Codecs: ``org.apache.hadoop.io.compress.`` GzipCodec, BZip2Codec, DefaultCodec. None: as the settings say, by
        default none.

        Raises OutputExistsError when there is something at ``path`` already and the settings do not say that it may be
        there, PathError when ``path`` is empty, or of another file system, ConfigurationError when there is no such
        codec.

        After a failed task ``path`` holds no ``_SUCCESS`` and no part file.
        """
        codec = compressionCodecClass
        check_type(codec, (str, type(None)), "compressionCodecClass", "a str or None")
        settings = Settings(self.ctx.conf)
        if codec is None and settings.output_compress:
            codec = settings.output_compress_codec
        self._save(path_text(path, "path"), codec_extension(codec), _write_lines)

    def saveAsPickleFile(self, path: PathLike, batchSize: int = 10) -> None:
        """Write the records, pickled in batches, into ``path/part-00000`` and so on, for `SparkContext.pickleFile`.
        ``batchSize`` 0: batches of about 64 KiB; below 0: one batch for each partition.

        The files are localcluster's own (see `pickle_files`), not Hadoop's SequenceFiles: real Spark cannot read them.

        Raises OutputExistsError and PathError as `saveAsTextFile`.

        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = os.path.join(directory, "squares")
        ...     sc.parallelize(range(5)).map(lambda x: (x, x * x)).saveAsPickleFile(path)
        ...     sorted(sc.pickleFile(path).collect())
        [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]
        """
        check_type(batchSize, int, "batchSize", "a whole number")
        self._save(path_text(path, "path"), "", partial(write_pickles, batch_size=batchSize))

    def _save(self, path: str, extension: str, write: _Write) -> None:
        directory, settings = local_path(path), Settings(self.ctx.conf)
        if os.path.lexists(directory) and settings.validate_output_specs:
            raise OutputExistsError(f"Output directory {file_uri(directory)} already exists")
        chosen = range(self.getNumPartitions())
        aside = os.path.join(directory, TEMPORARY, uuid.uuid4().hex)
        try:
            os_layer.make_directories(aside)
        except OSError as error:
            raise SparkException(f"Output directory {file_uri(directory)} cannot be made: {error}") from error
        try:
            written = self.ctx._jobs.run(cast("RDD[Any]", self), partial(_write_part, aside, extension, write), chosen)
            for index, part in zip(chosen, written, strict=True):
                os_layer.rename(part, os.path.join(directory, f"part-{index:05d}{extension}"))
        finally:
            remove_attempts(aside)
            with suppress(OSError):  # another program may be writing there, too
                os_layer.remove_directory(os.path.dirname(aside))
        if settings.mark_successful_jobs:
            os_layer.open_output(os.path.join(directory, "_SUCCESS")).close()


def remove_attempts(directory: str) -> None:
    """Remove it with all that is in it. Attempts that were given up may go on making files there for a moment."""
    for _ in range(REMOVALS):
        os_layer.remove_what_can_be(directory)
        if not os.path.lexists(directory):
            return
    log.warning("%s cannot be removed", directory)


def _write_part(aside: str, extension: str, write: _Write, task_context: TaskContext, records: Iterator[Any]) -> str:
    """Write one partition into a file of its own in ``aside``; its path."""
    path = os.path.join(aside, f"{uuid.uuid4().hex}{extension}")
    with create(path) as file, lost_in_forks(file):
        write(file, records)
    return path


def _write_lines(file: BinaryIO, records: Iterator[Any]) -> None:
    for record in records:
        file.write(_line(record))


def _line(record: Any) -> bytes:
    if isinstance(record, bytes):
        record = record.decode("utf-8", "replace")  # as in Spark, where lines are text
    return (record if isinstance(record, str) else str(record)).encode("utf-8") + b"\n"
