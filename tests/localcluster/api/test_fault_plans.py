"""Plans are held against what there is: methods that end stages, and exceptions."""

from __future__ import annotations

import pytest

from localcluster import faults
from localcluster.api.fault_plans import _END_NO_STAGE, check
from localcluster.rdd.rdd import RDD
from protocol.errors import FaultPlanError


@pytest.mark.parametrize("stage", ["reduceByKey", "join", "coalesce", "sortBy", "zipWithIndex", "sum", "runJob", 3])
def test_what_ends_a_stage_can_be_named(stage: str | int) -> None:
    check([faults.kill(stage=stage)], finds_exceptions=True)


@pytest.mark.parametrize(("stage", "says"), [("reducebykey", "did you mean reduceByKey?"), ("map", "no stage that")])
def test_what_ends_none_is_refused_with_its_rule(stage: str, says: str) -> None:
    with pytest.raises(FaultPlanError) as raised:
        check([faults.hang(), faults.kill(stage=stage).nth(2)], finds_exceptions=True)
    assert f"'kill stage={stage} nth=2': there is no stage that ends in {stage!r}" in str(raised.value)
    assert says in str(raised.value)
    known = str(raised.value).partition("Known: ")[2].split(", ")
    assert {"compute", "cleanShuffleDependencies", "map"} & set(known) == set()
    assert {"reduceByKey", "count", "runJob"} <= set(known)


def test_what_is_refused_is_there() -> None:
    assert [name for name in _END_NO_STAGE if not hasattr(RDD, name)] == []
