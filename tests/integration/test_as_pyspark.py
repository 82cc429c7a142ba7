"""The odd calls that real PySpark recorded, on a real cluster: through its pickles, shuffles and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localcluster import SparkContext
from tests.localcluster.rdd.odd.record import GROUPS, difference


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: next(iter(group)))
def test_odd_cases_end_as_in_pyspark(sc: SparkContext, group: dict[str, Callable[[Any], Any]]) -> None:
    found = [difference(name, case, sc) for name, case in group.items()]
    assert [text for text in found if text] == []
