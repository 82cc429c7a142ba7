"""Settings of Hadoop and Spark that change what is read and written change it here as PySpark itself recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localcluster.conf.settings import ENTRIES, OLD_KEYS
from tests.localcluster.rdd.input_settings_cases import CASES, RESULTS, Case, name_of, write_files
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.pyspark_cases import as_json

RECORDED = json.loads(RESULTS.read_text())
RUNS = [(settings, case) for settings, cases in CASES for case in cases]


@pytest.mark.parametrize(("settings", "case"), RUNS, ids=[name_of(*run) for run in RUNS])
def test_is_as_in_pyspark(settings: dict[str, str], case: Case, tmp_path: Path) -> None:
    write_files(tmp_path)
    assert as_json(case(LocalContext(2, settings), tmp_path)) == RECORDED[name_of(settings, case)]


def test_each_key_is_recorded() -> None:
    keys = {key for key in {*ENTRIES, *OLD_KEYS} if key.startswith(("spark.hadoop.", "spark.files."))}
    assert {key for settings, _ in CASES for key in settings} == keys
