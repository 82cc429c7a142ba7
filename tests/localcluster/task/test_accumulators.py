"""Accumulators: a task's copy starts from zero, is shared within the task, and is merged once by the driver."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from localcluster.task.accumulators import (
    Accumulator,
    AccumulatorParam,
    _accumulatorRegistry,
    collect_updates,
    merge_updates,
    param_for,
)
from localcluster.task.task_context import TaskContext
from protocol.errors import ContextError
from storage import serializer
from tests.localcluster.task.contexts import task_context


class Lists(AccumulatorParam[list[int]]):
    def zero(self, value: list[int]) -> list[int]:
        return []

    def addInPlace(self, value1: list[int], value2: list[int]) -> list[int]:
        return value1 + value2


@pytest.fixture
def task() -> Iterator[TaskContext]:
    context = task_context()
    yield context
    context.leave()


def of(value: Any, aid: int = 0) -> Accumulator[Any]:
    return Accumulator(aid, value, param_for(value))


@pytest.mark.parametrize(("value", "term", "total"), [(1, 2, 3), (0.5, 1.5, 2.0), (1j, 1, 1 + 1j), (True, 1, 2)])
def test_numbers_have_a_parameter_of_their_own(value: Any, term: Any, total: Any) -> None:
    accumulator = of(value)
    accumulator += term
    assert accumulator.value == total
    assert str(accumulator) == str(total)


@pytest.mark.parametrize("value", ["text", [], None])
def test_other_types_need_one(value: Any) -> None:
    with pytest.raises(TypeError, match="No default accumulator param"):
        param_for(value)


def test_a_tasks_copy_starts_from_zero_and_cannot_be_read(task: TaskContext) -> None:
    driver = of(100)
    travelling = pickle.dumps(driver)
    task.enter()
    copy = pickle.loads(travelling)
    copy += 5
    with pytest.raises(ContextError):
        copy.value  # noqa: B018
    with pytest.raises(ContextError):
        copy.value = 3
    updates = collect_updates(task)
    assert updates is not None
    merge_updates(updates)
    assert driver.value == 105


def test_all_references_in_a_task_add_to_one_copy(task: TaskContext) -> None:
    driver = Accumulator(3, [9], Lists())
    travelling = pickle.dumps(driver)
    task.enter()
    first, second = pickle.loads(travelling), pickle.loads(travelling)
    assert first is second
    first.add([1])
    second.add([2])
    merge_updates(collect_updates(task) or b"")
    assert driver.value == [9, 1, 2]


def test_a_task_without_accumulators_has_no_updates(task: TaskContext) -> None:
    assert collect_updates(task) is None


def test_updates_of_an_accumulator_that_is_gone_are_skipped(task: TaskContext) -> None:
    travelling = pickle.dumps(of(1, aid=5))
    task.enter()
    pickle.loads(travelling).add(1)
    other = of(1, aid=6)
    merge_updates(collect_updates(task) or b"")
    assert other.value == 1


def test_an_accumulator_that_comes_back_to_the_driver_is_the_drivers_own() -> None:
    accumulator = of(7)
    assert pickle.loads(pickle.dumps(accumulator)) is accumulator
    assert _accumulatorRegistry[0] is accumulator


def test_one_that_the_driver_dropped_comes_back_as_a_copy_that_cannot_be_read() -> None:
    travelling = pickle.dumps(of(7, aid=8))
    assert 8 not in _accumulatorRegistry
    with pytest.raises(ContextError, match=r"\[VALUE_NOT_ACCESSIBLE\] Value `Accumulator.value` cannot be accessed"):
        pickle.loads(travelling).value  # noqa: B018


def test_they_are_printed_as_in_pyspark(task: TaskContext) -> None:
    accumulator = of(7, aid=2)
    assert (str(accumulator), repr(accumulator)) == ("7", "Accumulator<id=2, value=7>")
    travelling = pickle.dumps(accumulator)
    task.enter()
    assert repr(pickle.loads(travelling)) == "Accumulator<id=2, value=0>"


def test_updates_merged_by_several_threads_are_all_counted() -> None:
    """Jobs of several threads merge at once; the parameter lets the others run between its look and its answer."""

    class Yielding(AccumulatorParam[int]):
        def zero(self, value: int) -> int:
            return 0

        def addInPlace(self, value1: int, value2: int) -> int:
            time.sleep(0)  # not a wait: lets another thread in
            return value1 + value2

    accumulator = Accumulator(4, 0, Yielding())
    update = b"".join(serializer.dumps({4: 1}))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(merge_updates, [update] * 400))
    assert accumulator.value == 400
