"""Fixtures that several tests of storage share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.clusters import ClusterMaker


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[ClusterMaker]:
    """Makes clusters in this process; each is audited and removed at the end of the test."""
    maker = ClusterMaker(tmp_path)
    yield maker
    maker.close()
