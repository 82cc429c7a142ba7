from __future__ import annotations

import pytest

from tests.localcluster.rdd.local_context import LocalContext


@pytest.fixture
def sc() -> LocalContext:
    return LocalContext()
