"""Partitions, order, seeds and splits are those that PySpark itself recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.pyspark_cases import CASES, RESULTS, as_json, write_files

RECORDED = json.loads(RESULTS.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_gives_what_pyspark_gave(case: Any, tmp_path: Path) -> None:
    write_files(tmp_path)
    assert as_json(case(LocalContext(2), tmp_path)) == RECORDED[case.__name__]
