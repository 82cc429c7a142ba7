"""Plans are held against what there is: exceptions that can be found and made."""

from __future__ import annotations

import builtins
import pickle

import pytest

from localcluster import errors, faults
from localcluster.api.fault_plans import check
from localcluster.executor.task_runner import describe
from localcluster.faults.exceptions import make_exception
from protocol.cluster_messages import TaskDescription
from protocol.errors import FaultPlanError

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
