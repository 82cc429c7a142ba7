"""Fixtures of the tests of shuffles: block managers in this process, and a look at the disk they spill to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.block_id import StreamBlockId
from tests.localcluster.shuffle.bench import ShuffleBench
from tests.storage.clusters import ClusterMaker


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ShuffleBench]:
    maker = ClusterMaker(tmp_path)
    yield ShuffleBench(maker("1", "2", max_memory=1 << 20), tmp_path)
    maker.close()


@pytest.fixture(scope="module")
def long_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShuffleBench]:
    """One for all the examples of a module's random tests."""
    directory = tmp_path_factory.mktemp("shuffle")
    maker = ClusterMaker(directory)
    bench = ShuffleBench(maker("1", "2", max_memory=1 << 20), directory)
    # The segment is made, and mapped by the reader, before the first test looks at its descriptors.
    block_id = StreamBlockId(0, 0)
    bench.other.read_location(bench.blocks.put_shared(block_id, [b"first"], tell_master=False), block_id)
    yield bench
    maker.close()
