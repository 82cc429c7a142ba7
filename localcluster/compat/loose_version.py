"""`LooseVersion`: version numbers that compare part by part, as PySpark has it from the former ``distutils``."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any

_PART = re.compile(r"\d+|[a-z]+|[^.\da-z]+")


@total_ordering
class LooseVersion:
    """Numbers compare as numbers, other parts as text. Compares with text, too.

    Raises TypeError when a number has to be compared with a text.

    >>> LooseVersion("2.10.1") > "2.9"
    True
    """

    def __init__(self, vstring: str | None) -> None:
        if vstring:
            self.parse(vstring)

    def parse(self, vstring: str) -> None:
        self.vstring = vstring
        self.version = [int(part) if part.isdigit() else part for part in _PART.findall(vstring)]

    def __str__(self) -> str:
        return self.vstring

    def __repr__(self) -> str:
        return f"LooseVersion ('{self}')"

    def __eq__(self, other: object) -> bool:
        parts = _parts(other)
        return NotImplemented if parts is None else self.version == parts

    def __lt__(self, other: object) -> bool:
        parts = _parts(other)
        return NotImplemented if parts is None else self.version < parts

    __hash__ = None  # type: ignore[assignment]  # equal to texts that hash otherwise


def _parts(version: object) -> list[Any] | None:
    if isinstance(version, str):
        version = LooseVersion(version)
    return version.version if isinstance(version, LooseVersion) else None
