"""The double that the RDD API is tested with does what a context does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster.rdd.job_service import JobService
from tests.localcluster.job_service_conformance import SERVICE_CHECKS
from tests.localcluster.rdd.local_context import LocalContext


@pytest.mark.parametrize("check", SERVICE_CHECKS, ids=lambda check: check.__name__)
def test_the_double(check: Callable[[JobService, Path], None], sc: LocalContext, tmp_path: Path) -> None:
    check(sc, tmp_path)
