"""PySpark's `ExternalSorter` on our sort."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from localcluster.compat import external
from localcluster.compat.external import ExternalSorter


class Eager(ExternalSorter):
    """Spills at every look, since no process is that small."""

    def _next_limit(self) -> float:
        return self.memory_limit


NUMBERS = random.Random(1).sample(range(5000), 5000)


@pytest.mark.parametrize("kind", [ExternalSorter, Eager])
def test_the_order_is_that_of_sorted(kind: type[ExternalSorter]) -> None:
    sorter = kind(1)
    assert list(sorter.sorted(NUMBERS)) == sorted(NUMBERS)
    assert list(sorter.sorted(NUMBERS, reverse=True)) == sorted(NUMBERS, reverse=True)
    assert list(sorter.sorted(NUMBERS, key=lambda n: n % 7)) == sorted(NUMBERS, key=lambda n: n % 7)


def test_what_was_spilled_is_counted() -> None:
    before = external.DiskBytesSpilled
    assert len(list(ExternalSorter(1 << 20).sorted(NUMBERS))) == len(NUMBERS)
    assert external.DiskBytesSpilled == before
    Eager(1).sorted(NUMBERS)
    assert external.DiskBytesSpilled > before
    assert external.MemoryBytesSpilled >= 0


def test_the_directory_goes_with_the_sorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALCLUSTER_LOCAL_DIRS", str(tmp_path))
    sorter = Eager(1)
    sorter.sorted(NUMBERS)
    assert list(tmp_path.iterdir()) != []
    del sorter
    assert list(tmp_path.iterdir()) == []
