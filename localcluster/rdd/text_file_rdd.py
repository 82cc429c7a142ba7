"""``textFile``: the lines of text files, split as Hadoop's TextInputFormat splits them.

A file is cut into ranges of bytes; a range owns the lines from the first line start after its offset (or the file's
start) to the first line start after its end. Lines end with LF, CR or CRLF. Of a compressed file, all lines are in the
first range. Which files a path means is the business of `input_paths`, cutting them that of `file_ranges`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from localcluster.rdd.compression import is_compressed, open_compressed
from localcluster.rdd.file_ranges import FileRange, file_ranges
from localcluster.rdd.input_paths import input_files
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.task_context import TaskContext

CHUNK = 256 << 10  # bytes read at a time
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextFileRDD(RDD[Any]):
    """The lines of the files at ``path``, as str or (``use_unicode`` False) as UTF-8 bytes. Invalid UTF-8 becomes
    U+FFFD.
    """

    kind = "MapPartitionsRDD"

    def __init__(self, ctx: SparkContext, path: str, min_partitions: int, use_unicode: bool) -> None:
        super().__init__(ctx)
        self.path = path
        self.min_partitions = min_partitions
        self.use_unicode = use_unicode
        self.setName(path)

    def _make_partitions(self) -> list[Partition]:
        return list(file_ranges(input_files(self.path), self.min_partitions))

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, FileRange)
        return text_lines(partition, self.use_unicode)


def text_file(ctx: SparkContext, name: str, minPartitions: int | None = None, use_unicode: bool = True) -> RDD[Any]:
    """``SparkContext.textFile``. The files are looked up when partitions are first needed.

    Raises then FileNotFoundError for a path that does not exist or a glob that matches nothing.
    """
    return TextFileRDD(ctx, name, minPartitions or min(ctx.defaultParallelism, 2), use_unicode)


def text_lines(partition: FileRange, use_unicode: bool = True) -> Iterator[Any]:
    """The lines that a range of bytes owns."""
    blocks = _compressed_blocks(partition) if is_compressed(partition.path) else _plain_blocks(partition)
    return chain.from_iterable(map(partial(_lines, use_unicode), blocks))


def _plain_blocks(partition: FileRange) -> Iterator[bytes]:
    with open(partition.path, "rb") as file:
        start = _line_start_after(file, partition.start) if partition.start else 0
        end = _line_start_after(file, partition.start + partition.length)
        file.seek(start)
        yield from _blocks(file, end - start, skip_mark=start == 0)


def _compressed_blocks(partition: FileRange) -> Iterator[bytes]:
    if partition.start:
        return
    with open_compressed(partition.path) as file:
        yield from _blocks(file, None, skip_mark=True)


def _line_start_after(file: BinaryIO, offset: int) -> int:
    """The first line start beyond ``offset``; the file's end if there is none. Both halves of a file find the same
    one.
    """
    file.seek(offset)
    position = offset
    while piece := file.readline(CHUNK):
        end = piece.find(b"\r") + 1
        if end:
            following = piece[end : end + 1] or file.read(1)
            return position + end + (following == b"\n")
        position += len(piece)
        if piece.endswith(b"\n"):
            break
    return position


def _blocks(file: BinaryIO, length: int | None, skip_mark: bool) -> Iterator[bytes]:
    """The next ``length`` bytes (None: all there are), cut at line ends into blocks of about CHUNK bytes, none
    empty.
    """
    pending: list[bytes] = []  # the beginning of a line whose end is not read yet
    left = length
    while chunk := file.read(CHUNK if left is None else min(CHUNK, left)):
        left = None if left is None else left - len(chunk)
        if skip_mark and chunk.startswith(BYTE_ORDER_MARK):
            chunk = chunk[len(BYTE_ORDER_MARK) :]
        skip_mark = False
        # A CR at the very end may be half of a CRLF, so it ends nothing yet.
        cut = chunk.rfind(b"\n") + 1 or chunk.rfind(b"\r", 0, -1) + 1
        if cut:
            yield b"".join([*pending, chunk[:cut]])
            pending = []
        pending.append(chunk[cut:])
    if rest := b"".join(pending):
        yield rest


def _lines(use_unicode: bool, block: bytes) -> list[Any]:
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = block.decode("utf-8", "replace").removesuffix("\n").split("\n")
    return lines if use_unicode else [line.encode("utf-8") for line in lines]
