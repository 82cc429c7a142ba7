"""Records between delimiters of a program's choice, as ``textinputformat.record.delimiter`` names one.

Delimiters are found from the file's beginning to its end, one after the other: of ``aaa``, the first two are the
delimiter ``aa``. A range of a file owns the records behind the delimiters that begin in it; so all readers of a file
have to agree on where those are, also if a delimiter overlaps itself. Does not cover line ends (`text_file_rdd`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

WINDOW = 64 << 10  # bytes that are searched at a time


def record_start_after(file: BinaryIO, offset: int, delimiter: bytes) -> int:
    """Where the record begins that is behind the first delimiter from ``offset`` on; the file's end if there is
    none.
    """
    position = _between_delimiters(file, offset, delimiter)
    file.seek(position)
    text = b""
    while True:
        found = text.find(delimiter)
        if found < 0:
            kept = text[max(len(text) - len(delimiter) + 1, 0) :]
            position += len(text) - len(kept)
            piece = file.read(WINDOW)
            if not piece:
                return position + len(kept)
            text = kept + piece
        else:
            position += found + len(delimiter)
            if position - len(delimiter) >= offset:
                return position
            text = text[found + len(delimiter) :]


def _between_delimiters(file: BinaryIO, offset: int, delimiter: bytes) -> int:
    """A place at ``offset`` or not far before it which no delimiter reaches across, whatever comes before."""
    reach = len(delimiter) - 1
    width = WINDOW
    while reach:
        start = max(offset - width, 0)
        file.seek(start)
        text = file.read(offset - start + reach)
        place = offset - start
        while place >= reach or start == 0:
            before = text.rfind(delimiter, max(place - reach, 0), place + reach)
            if before < 0:
                return start + place
            place = before
        width *= 2
    return offset


def records(chunks: Iterable[bytes], delimiter: bytes) -> Iterator[list[bytes]]:
    """Lists of the records in a text that comes in pieces and begins with a record."""
    reach = len(delimiter) - 1
    parts: list[bytes] = []  # the beginning of a record whose end is not read yet
    tail = b""  # what follows it, short enough to be the beginning of a delimiter
    for chunk in chunks:
        first, *others = (tail + chunk).split(delimiter)
        if others:
            *whole, first = b"".join([*parts, first]), *others
            yield whole
            parts = []
        cut = max(len(first) - reach, 0)
        parts.append(first[:cut])
        tail = first[cut:]
    if rest := b"".join([*parts, tail]):
        yield [rest]
