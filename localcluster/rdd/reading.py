"""Reading an input file: what goes wrong names the file, and is passed over where the settings say so.

Covers whole files and ranges alike, for every method that reads files. Which files there are is the business of
`input_paths`, decompressing that of `compression`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, TypeVar

from localcluster.rdd.compression import DAMAGE, is_compressed, open_compressed
from localcluster.rdd.input_paths import file_uri
from protocol.errors import DamagedFileError, FileGoneError
from protocol.forks import lost_in_forks

log = logging.getLogger(__name__)
T = TypeVar("T")


class Tolerance(NamedTuple):
    """Which files are passed over, with a warning, instead of failing the job."""

    missing: bool = False
    damaged: bool = False

    def guard(self, records: Iterator[T]) -> Iterator[T]:
        """The records of one file, as many as can be read."""
        try:
            yield from records
        except FileGoneError as error:
            if not self.missing:
                raise
            log.warning("passed over: %s", error)
        except DamagedFileError as error:
            if not self.damaged:
                raise
            log.warning("passed over from there on: %s", error)


def _open_plain(path: str) -> BinaryIO:
    return open(path, "rb")


@contextmanager
def open_input(path: str, *, decompress: bool = False) -> Iterator[BinaryIO]:
    """The file, decompressed as its name says if ``decompress``.

    Raises FileGoneError if it is not there any more, DamagedFileError if it cannot be read or decompressed.
    """
    try:
        opened = open_compressed if decompress and is_compressed(path) else _open_plain
        with opened(path) as file, lost_in_forks(file):
            yield file
    except FileNotFoundError as error:
        raise FileGoneError(f"File {file_uri(path)} does not exist, though it did when it was listed") from error
    except (*DAMAGE, OSError) as error:
        if getattr(error, "filename", None) is not None:  # it cannot be opened, and says so
            raise
        raise DamagedFileError(f"{file_uri(path)} cannot be read: {error}") from error
