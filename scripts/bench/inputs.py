"""The benchmark's input text, made once for all engines from sources that every machine has."""

from __future__ import annotations

import sysconfig
from pathlib import Path


def write_text(target: Path, size: int) -> None:
    """Fill a file with the standard library's sources, over again where they are not enough, up to `size` bytes."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")) + sorted(
        Path(sysconfig.get_path("stdlib"), "email").glob("*.py")
    )
    left = size
    with open(target, "wb") as out:
        while left > 0:
            for source in sources:
                left -= out.write(source.read_bytes()[:left])
