"""What most tests of the scheduler start with: an empty lineage and a driver that is idle again at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.localcluster.scheduler.harness import FakeDriver
from tests.localcluster.scheduler.lineage import Lineage


@pytest.fixture
def lineage() -> Lineage:
    return Lineage()


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    driver = FakeDriver(2)
    yield driver
    driver.finish_all()
    driver.assert_idle()
