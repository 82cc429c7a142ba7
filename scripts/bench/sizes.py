"""How much work each benchmark job does: the full form, and the quick one that only shows that everything runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    text_bytes: int
    """Bytes of the text whose words are counted."""
    tasks: int
    """Tiny tasks in one job, each with one record."""
    round_trips: int
    """Jobs of one task, one after the other."""
    records: int
    """Records that are sorted, grouped, joined, cached."""
    table: int
    """Entries of the dict that is broadcast."""
    arrays: int
    """Arrays in the large blocks; one block each."""
    array_bytes: int
    """Bytes of each."""
    small_blocks: int
    """Blocks of 1 KB."""


FULL = Sizes(
    text_bytes=32 << 20,
    tasks=10_000,
    round_trips=200,
    records=500_000,
    table=300_000,
    arrays=8,
    array_bytes=64 << 20,
    small_blocks=1000,
)
QUICK = Sizes(
    text_bytes=1 << 20,
    tasks=200,
    round_trips=10,
    records=5_000,
    table=1_000,
    arrays=4,
    array_bytes=1 << 20,
    small_blocks=40,
)


def byte_count(text: str) -> int:
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)
