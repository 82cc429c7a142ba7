"""Plans are held against what there is: methods that end stages, and exceptions."""

from __future__ import annotations

import builtins
import pickle

import pytest

from localcluster import errors, faults
from localcluster.api.fault_plans import _END_NO_STAGE, check
from localcluster.executor.task_runner import describe
from localcluster.faults.exceptions import make_exception
from localcluster.rdd.rdd import RDD
from protocol.cluster_messages import TaskDescription
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


NAMES = [
    *(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)),
    *(f"localcluster.errors.{name}" for name in errors.__all__),
    "json.JSONDecodeError",
    "subprocess.CalledProcessError",
    "queue.Empty",
]
OF_MORE_THAN_A_TEXT = {
    *("BaseExceptionGroup", "ExceptionGroup", "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError"),
    *("localcluster.errors.FetchFailedError", "json.JSONDecodeError", "subprocess.CalledProcessError"),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_is_made_rightly_or_refused(name: str) -> None:
    rule = faults.raising(name)
    if name in OF_MORE_THAN_A_TEXT:
        with pytest.raises(FaultPlanError, match=f"exception={name} cannot be made of one text .*derive a class"):
            check([rule], finds_exceptions=True)
        return
    check([rule], finds_exceptions=True)
    error = make_exception(name, "some text")
    assert "some text" in str(error)
    report = describe(TaskDescription(1, 2, 0, b""), error)
    assert report.error is not None
    assert str(pickle.loads(report.error)) == str(error)


def test_builtins_are_looked_at_before_modules_can_be_found() -> None:
    check([faults.raising("of_the_job.Own")], finds_exceptions=False)
    with pytest.raises(FaultPlanError, match="UnicodeDecodeError cannot be made"):
        check([faults.raising(UnicodeDecodeError)], finds_exceptions=False)


def test_what_is_refused_is_there() -> None:
    assert [name for name in _END_NO_STAGE if not hasattr(RDD, name)] == []
