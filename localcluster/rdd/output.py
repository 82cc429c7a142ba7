"""``saveAsTextFile``: one file a partition, complete or not there at all.

Each attempt of a task writes aside, under a name of its own; the driver renames the files of those that counted.
Attempts that fail or run twice do no harm. ``_SUCCESS`` appears when all files are there.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.rdd.compression import codec_extension, create
from localcluster.rdd.core import RDDCore
from localcluster.rdd.input_paths import local_path
from protocol.errors import OutputExistsError

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD
    from localcluster.task_context import TaskContext

T = TypeVar("T")
TEMPORARY = "_temporary"


class Output(RDDCore[T]):
    """Actions that write files."""

    def saveAsTextFile(self, path: str, compressionCodecClass: str | None = None) -> None:
        """Write each record as a line of UTF-8 into ``path/part-00000`` and so on; what is not str or bytes, as ``str``
        of it.

        Codecs: ``org.apache.hadoop.io.compress.`` GzipCodec, BZip2Codec, DefaultCodec.

        Raises:
            OutputExistsError: there is something at ``path`` already.
            ValueError: there is no such codec.

        After a failed task ``path`` holds no ``_SUCCESS`` and no part file.
        """
        extension = codec_extension(compressionCodecClass)
        directory = local_path(path)
        if os.path.lexists(directory):
            raise OutputExistsError(f"Output directory {directory} already exists")
        aside = os.path.join(directory, TEMPORARY)
        os.makedirs(aside)
        try:
            chosen = range(self.getNumPartitions())
            written = self.ctx.run_tasks(cast("RDD[Any]", self), partial(_write_part, aside, extension), chosen)
            for index, part in zip(chosen, written, strict=True):
                os.replace(part, os.path.join(directory, f"part-{index:05d}{extension}"))
        finally:
            shutil.rmtree(aside)
        with open(os.path.join(directory, "_SUCCESS"), "wb"):
            pass


def _write_part(aside: str, extension: str, task_context: TaskContext, records: Iterator[Any]) -> str:
    """Write one partition into a file of its own in ``aside``; its path."""
    path = os.path.join(aside, f"{uuid.uuid4().hex}{extension}")
    with create(path) as file:
        for record in records:
            file.write(_line(record))
    return path


def _line(record: Any) -> bytes:
    if isinstance(record, bytes):
        record = record.decode("utf-8", "replace")  # as in Spark, where lines are text
    return (record if isinstance(record, str) else str(record)).encode("utf-8") + b"\n"
