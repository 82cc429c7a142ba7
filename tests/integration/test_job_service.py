"""A context is the job service that RDDs count on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster import SparkContext
from localcluster.rdd.job_service import JobService
from tests.localcluster.job_service_conformance import SERVICE_CHECKS


@pytest.mark.parametrize("check", SERVICE_CHECKS, ids=lambda check: check.__name__)
def test_a_context(check: Callable[[JobService, Path], None], sc: SparkContext, tmp_path: Path) -> None:
    check(sc, tmp_path)
