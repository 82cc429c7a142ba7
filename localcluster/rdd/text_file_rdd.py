"""``textFile``: the lines of text files, split as Hadoop's TextInputFormat splits them.

A file is cut into ranges of bytes; a range owns the lines from the first line start after its offset (or the file's
start) to the first line start after its end. Lines end with LF, CR or CRLF. Compressed files are read whole. Which
files a path means is the business of `input_paths`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from localcluster.rdd.compression import is_compressed, open_compressed
from localcluster.rdd.input_paths import input_files
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.context import SparkContext
    from localcluster.task_context import TaskContext

MAX_SPLIT = 32 << 20  # bytes; the block size of Hadoop's local file system
SLOP = 1.1  # the last range of a file may be this much longer than the others
CHUNK = 256 << 10  # bytes read at a time
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextPartition(Partition):
    """A range of bytes of a file; of a compressed file, all of it."""

    __slots__ = ("length", "path", "start")

    def __init__(self, index: int, path: str, start: int, length: int) -> None:
        super().__init__(index)
        self.path = path
        self.start = start
        self.length = length


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
        ranges = split_files(input_files(self.path), self.min_partitions)
        return [TextPartition(index, *part) for index, part in enumerate(ranges)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, TextPartition)
        return text_lines(partition, self.use_unicode)


def text_file(ctx: SparkContext, name: str, minPartitions: int | None = None, use_unicode: bool = True) -> RDD[Any]:
    """``SparkContext.textFile``. The files are looked up when partitions are first needed.

    Raises then FileNotFoundError for a path that does not exist or a glob that matches nothing.
    """
    return TextFileRDD(ctx, name, minPartitions or min(ctx.defaultParallelism, 2), use_unicode)


def text_lines(partition: TextPartition, use_unicode: bool = True) -> Iterator[Any]:
    """The lines that a range of bytes owns."""
    blocks = _compressed_blocks(partition) if is_compressed(partition.path) else _plain_blocks(partition)
    return chain.from_iterable(map(partial(_lines, use_unicode), blocks))


def split_files(files: list[str], wanted: int) -> Iterator[tuple[str, int, int]]:
    """Ranges (path, start, length) of the files, about ``wanted`` in all and none empty."""
    sizes = [os.path.getsize(path) for path in files]
    split = max(1, min(sum(sizes) // (wanted or 1), MAX_SPLIT))
    for path, size in zip(files, sizes, strict=True):
        start = 0
        if not is_compressed(path):
            while (size - start) / split > SLOP:
                yield path, start, split
                start += split
        if size > start:
            yield path, start, size - start


def _plain_blocks(partition: TextPartition) -> Iterator[bytes]:
    with open(partition.path, "rb") as file:
        start = _line_start_after(file, partition.start) if partition.start else 0
        end = _line_start_after(file, partition.start + partition.length)
        file.seek(start)
        yield from _blocks(file, end - start, skip_mark=start == 0)


def _compressed_blocks(partition: TextPartition) -> Iterator[bytes]:
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
