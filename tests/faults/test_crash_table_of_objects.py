"""The crash table (``test_crash_table``) for what the user's own objects do when they are pickled or unpickled."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.errors import TaskError


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    conf = SparkConf().setMaster("local-cluster[2,1,1024]").set("spark.task.maxFailures", "2")
    with SparkContext(conf=conf) as context:
        yield context


def fail(how: str) -> None:
    if how == "raise":
        raise ValueError("the user's own")
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class Unpickled:
    """Fails where it is unpickled, in a task that is not told to be lucky."""

    def __init__(self, how: str, attempts: int) -> None:
        self.how, self.attempts = how, attempts

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        context = TaskContext.get()
        if context is not None and context.attemptNumber() < self.attempts:
            fail(self.how)


class Pickled:
    """Fails where it is pickled."""

    def __init__(self, how: str, attempts: int) -> None:
        self.how, self.attempts = how, attempts

    def __reduce__(self) -> Any:
        context = TaskContext.get()
        assert context is not None
        if context.attemptNumber() < self.attempts:
            fail(self.how)
        return str, ("well",)


def unpickling_code(sc: SparkContext, how: str, attempts: int) -> list[str]:
    mine = Unpickled(how, attempts)
    return sc.parallelize(range(1), 1).map(lambda _: mine and "well").collect()


def unpickling_records(sc: SparkContext, how: str, attempts: int) -> list[str]:
    return sc.parallelize([Unpickled(how, attempts)], 1).map(lambda _: "well").collect()


def pickling_a_result(sc: SparkContext, how: str, attempts: int) -> list[str]:
    return sc.parallelize(range(1), 1).map(lambda _: Pickled(how, attempts)).collect()


def pickling_for_a_shuffle(sc: SparkContext, how: str, attempts: int) -> list[str]:
    return sc.parallelize(range(1), 1).map(lambda x: (x, Pickled(how, attempts))).partitionBy(1).values().collect()


USES = [unpickling_code, unpickling_records, pickling_a_result, pickling_for_a_shuffle]
DEATHS = {"exit": "exited with code 7", "kill": "was killed by signal 9, often the system's out-of-memory killer"}


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("use", USES)
def test_an_object_of_the_users_that_ends_the_executor(sc: SparkContext, use: Callable[..., Any], how: str) -> None:
    assert use(sc, how, 1) == ["well"]
    with pytest.raises(TaskError) as raised:
        use(sc, how, 99)
    told = rf"failed 2 times, .*partition 0, .*ExecutorLostFailure \(executor \d+ \(pid \d+\) {DEATHS[how]}\)"
    assert re.search(told, str(raised.value)), str(raised.value)


@pytest.mark.parametrize("use", USES)
def test_an_object_of_the_users_that_raises(sc: SparkContext, use: Callable[..., Any]) -> None:
    """What cannot be pickled is not tried again: it cannot be anywhere."""
    pickles = use in (pickling_a_result, pickling_for_a_shuffle)
    if not pickles:
        assert use(sc, "raise", 1) == ["well"]
    with pytest.raises(TaskError, match="the user's own") as raised:
        use(sc, "raise", 99)
    assert f"failed {1 if pickles else 2} times" in str(raised.value)
    assert f'File "{__file__}", line ' in str(raised.value)
    assert "in fail\n" in str(raised.value)
