"""How tests wait: always for something, and with a deadline that is met only when something hangs.

What gives an event (a queue, a pipe, a thread's end) is waited for by that, with `DEADLINE`. `wait_until` is for what
gives none: other processes, files, tables of a driver. `in_each_executor` is for what a test needs of all executors: of
tasks that sleep, in the hope that each executor gets one, a slow machine runs them all in one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from localcluster import SparkContext
    from localcluster.driver.status import Status
    from protocol.locations import BlockManagerId

T = TypeVar("T")
DEADLINE = 30.0  # seconds for whatever is awaited
LOOK = 0.01  # seconds between two looks


def wait_until(condition: Callable[[], object], what: str = "it did not come to be", detail: object = "") -> None:
    """Look again and again until the condition holds. A failure says ``what``, and ``detail`` or what it returns."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: {detail() if callable(detail) else detail}"
        time.sleep(LOOK)


def fails(number: int) -> Callable[..., Any]:
    """In place of a function of an ``os_layer``: the system refuses, with this ``errno``."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


class InThread(threading.Thread):
    """Runs a call in a thread; `outcome` is what it returned or raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.call()
        except BaseException as error:
            self.result = error

    def outcome(self) -> Any:
        self.join(DEADLINE)
        assert not self.is_alive(), "the call hangs"
        return self.result


def status_of(context: SparkContext) -> Status:
    """What tests may ask about a context beyond `SparkContext.statistics`."""
    return context._cluster.status


def executors(context: SparkContext) -> list[BlockManagerId]:
    """Those that have registered and are not lost, by number: names and process ids."""
    ids = [executor.memory.block_manager_id for executor in status_of(context).executors()]
    return sorted((each for each in ids if not each.is_driver), key=lambda each: int(each.executor_id))


def wait_for_executors(context: SparkContext, wanted: int) -> None:
    """Executors start while the context is already usable; their pipes would look like leaks of the first test."""

    def are_there() -> bool:
        context._cluster.check_usable()
        return context.statistics().executors.alive >= wanted

    wait_until(are_there, "the executors did not start")


def in_each_executor(context: SparkContext, call: Callable[[], T]) -> list[T]:
    """What the call returns in every executor of one core: the tasks of a barrier stage run at the same time."""
    tasks = context.defaultParallelism
    return context.parallelize(range(tasks), tasks).barrier().mapPartitions(lambda _: [call()]).collect()


def executor_pids(context: SparkContext) -> set[int]:
    return set(in_each_executor(context, os.getpid))
