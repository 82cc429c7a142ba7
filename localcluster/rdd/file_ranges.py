"""Cutting files into ranges of bytes, as Hadoop's FileInputFormat does. Reading them is others' business."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from localcluster.rdd.compression import is_compressed, is_splittable
from localcluster.rdd.input_paths import InputFile
from localcluster.rdd.partition import Partition
from protocol.errors import PySparkValueError

LARGEST = 32 << 20  # bytes; the block size of Hadoop's local file system
SLOP = 1.1  # the last range of a file may be this much longer than the others


class FileRange(Partition):
    """A range of bytes of a file."""

    __slots__ = ("length", "path", "start")

    def __init__(self, index: int, path: str, start: int, length: int) -> None:
        super().__init__(index)
        self.path = path
        self.start = start
        self.length = length


def file_ranges(files: Sequence[InputFile], wanted: int, smallest: int = 0) -> Iterator[FileRange]:
    """Ranges of the files, about ``wanted`` in all and none empty, in the order of the files. Raises PySparkValueError
    for a negative number.
    """
    if wanted < 0:
        raise PySparkValueError(f"minPartitions must not be negative, but it is {wanted}")
    total = sum(size for _, size in files)
    step = max(1, smallest, min(total // (wanted or 1), LARGEST))
    return (FileRange(index, *part) for index, part in enumerate(split_files(files, step)))


def split_files(files: Iterable[InputFile], step: int) -> Iterator[tuple[str, int, int]]:
    """Ranges (path, start, length) of ``step`` bytes, the last of a file a little longer or shorter, none empty.
    Compressed files are cut only if their format allows it.
    """
    for path, size in files:
        start = 0
        if not is_compressed(path) or is_splittable(path):
            while (size - start) / step > SLOP:
                yield path, start, step
                start += step
        if size > start:
            yield path, start, size - start
