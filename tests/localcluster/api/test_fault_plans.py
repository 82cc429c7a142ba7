"""Plans are held against what there is: exceptions that can be found and made."""

from __future__ import annotations

import builtins
import pickle

import pytest

from localcluster import errors, faults
from localcluster.api.fault_plans import check_exceptions
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
            check_exceptions([rule], in_modules=True)
        return
    check_exceptions([rule], in_modules=True)
    error = make_exception(name, "some text")
    assert "some text" in str(error)
    report = describe(TaskDescription(1, 2, 0, b""), error)
    assert report.error is not None
    assert str(pickle.loads(report.error)) == str(error)


@pytest.mark.parametrize(
    ("name", "says"),
    [("json.dumps", "is no exception"), ("json.JSONDecoderError", "json.JSONDecoderError cannot be found")],
)
def test_what_is_no_exception_is_refused(name: str, says: str) -> None:
    with pytest.raises(FaultPlanError, match=says):
        check_exceptions([faults.raising(name)], in_modules=True)


def test_builtins_are_looked_at_before_modules_can_be_found() -> None:
    check_exceptions([faults.raising("of_the_job.Own")], in_modules=False)
    with pytest.raises(FaultPlanError, match="UnicodeDecodeError cannot be made"):
        check_exceptions([faults.raising(UnicodeDecodeError)], in_modules=False)
