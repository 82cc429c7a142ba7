"""``textFile``: the lines of text files, split as Hadoop's TextInputFormat splits them.

A file is cut into ranges of bytes; a range owns the lines from the first line start after its offset (or the file's
start) to the first line start after its end. Lines end with LF, CR or CRLF, or at a delimiter (`delimited`) that the
settings name. Of a compressed file, all lines are in the first range. Which files a path means is the business of
`input_paths`, cutting them that of `file_ranges`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from localcluster.rdd.compression import is_compressed
from localcluster.rdd.delimited import record_start_after, records
from localcluster.rdd.file_ranges import FileRange, file_ranges
from localcluster.rdd.input_files_rdd import InputFilesRDD
from localcluster.rdd.partition import Partition
from localcluster.rdd.reading import Tolerance, open_input

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.rdd.rdd import RDD
    from localcluster.task.task_context import TaskContext

CHUNK = 256 << 10  # bytes read at a time
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextFileRDD(InputFilesRDD):
    """The lines of the files at ``path``, as str or (``use_unicode`` False) as UTF-8 bytes. Invalid UTF-8 becomes
    U+FFFD.
    """

    _travels = (*InputFilesRDD._travels, "use_unicode")

    def __init__(self, ctx: JobService, path: str, min_partitions: int, use_unicode: bool) -> None:
        super().__init__(ctx, path)
        self.min_partitions = min_partitions
        self.use_unicode = use_unicode
        self.setName(path)

    def _make_partitions(self) -> list[Partition]:
        return list(file_ranges(self._files(), self.min_partitions, self.settings.least))

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[Any]:
        assert isinstance(partition, FileRange)
        blocks: Iterator[list[Any]] = text_blocks(partition, self.settings.delimiter, self.settings.tolerance)
        return chain.from_iterable(blocks if self.use_unicode else map(_encoded, blocks))


def text_file(ctx: JobService, name: str, minPartitions: int, use_unicode: bool = True) -> RDD[Any]:
    """``SparkContext.textFile``. The files are looked up when partitions are first needed.

    Raises then FileNotFoundError for a path that does not exist or a glob that matches nothing.
    """
    return TextFileRDD(ctx, name, minPartitions, use_unicode)


def text_blocks(partition: FileRange, delimiter: bytes | None, tolerance: Tolerance) -> Iterator[list[str]]:
    """The lines that a range of bytes owns, or the records between delimiters, some at a time."""
    return tolerance.guard(_blocks(partition, delimiter))


def _blocks(partition: FileRange, delimiter: bytes | None) -> Iterator[list[str]]:
    compressed = is_compressed(partition.path)
    if compressed and partition.start:
        return
    with open_input(partition.path, decompress=True) as file:
        chunks = _all_chunks(file) if compressed else _chunks_of_range(file, partition, delimiter)
        if delimiter is None:
            yield from map(_lines, _whole_lines(chunks))
        else:
            for block in records(chunks, delimiter):
                yield [record.decode("utf-8", "replace") for record in block]


def _all_chunks(file: BinaryIO) -> Iterator[bytes]:
    """What can be decompressed at a time: of a damaged file, all that comes before the damage."""
    yield file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    yield from iter(partial(file.read1, CHUNK), b"")  # type: ignore[attr-defined]  # those that decompress have it


def _chunks_of_range(file: BinaryIO, partition: FileRange, delimiter: bytes | None) -> Iterator[bytes]:
    find = _line_start_after if delimiter is None else partial(record_start_after, delimiter=delimiter)
    start = find(file, partition.start) if partition.start else 0
    end = find(file, partition.start + partition.length)
    file.seek(start)
    for position in range(start, end, CHUNK):
        chunk = file.read(min(CHUNK, end - position))
        yield chunk if position else chunk.removeprefix(BYTE_ORDER_MARK)


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


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, cut at line ends instead, none empty."""
    pending: list[bytes] = []  # the beginning of a line whose end is not read yet
    for chunk in chunks:
        # A CR at the very end may be half of a CRLF, so it ends nothing yet.
        cut = chunk.rfind(b"\n") + 1 or chunk.rfind(b"\r", 0, -1) + 1
        if cut:
            yield b"".join([*pending, chunk[:cut]])
            pending = []
        pending.append(chunk[cut:])
    if rest := b"".join(pending):
        yield rest


def _lines(block: bytes) -> list[str]:
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return block.decode("utf-8", "replace").removesuffix("\n").split("\n")


def _encoded(lines: list[str]) -> list[bytes]:
    return [line.encode("utf-8") for line in lines]
