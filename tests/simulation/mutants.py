"""Mistakes that the simulation must find: each takes one thing out of the code that is tested.

What a mutant does is written as what a careless change would do. `test_mutants` wants each of them found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from localcluster.driver.executor_messages import ExecutorMessages
from localcluster.driver.executor_pool import ExecutorPool
from localcluster.driver.instructions import Instructions
from localcluster.executor.task_queue import TaskQueue
from localcluster.scheduler.barrier_attempt import BarrierAttempt
from localcluster.scheduler.job_results import JobResults
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.shuffle.kept_tables import KeptTables
from protocol.sequence import Sequence
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.block_table import BlockTable
from storage.lease_table import LeaseTable


class Mutant(NamedTuple):
    """``mutate(original)`` makes what takes the place of ``owner.name``."""

    owner: type
    name: str
    mutate: Callable[[Any], Any]


def _skip(result: Any = None) -> Callable[[Any], Any]:
    return lambda original: lambda *arguments, **options: result


def _forget_the_lost(original: Any) -> Any:
    def remove_executor(self: TaskScheduler, executor_id: str) -> list[Any]:
        self.executors.pop(executor_id, None)
        return []

    return remove_executor


def _count_again(original: Any) -> Any:
    def add(self: JobResults, stage: Any, task: Any, result: Any) -> bool:
        if task.task_id % 7 == 3:
            stage.done.discard(task.position)
            self._append(next(iter(stage.jobs)), _again(task, result))
        return bool(original(self, stage, task, result))

    return add


def _again(task: Any, result: Any) -> Any:
    from localcluster.scheduler.stage import TaskOutcome

    return TaskOutcome(task.position, task.task_id, result.output, result.updates)


def _say_nothing(original: Any) -> Any:
    def give_back(self: TaskQueue[Any], task_ids: Any) -> tuple[int, ...]:
        original(self, task_ids)
        return ()

    return give_back


def _deliver_twice(original: Any) -> Any:
    def arrived(self: Sequence[Any], number: int, frame: Any) -> tuple[Any, ...]:
        return (frame,) if number < self.due else tuple(original(self, number, frame))

    return arrived


def _keep_heaps(original: Any) -> Any:
    def remove_manager(self: BlockTable, executor_id: str) -> tuple[Any, ...]:
        manager = self._managers.pop(executor_id, None)
        del manager
        return ()

    return remove_manager


def _order_none(original: Any) -> Any:
    def order(self: ExecutorPool, *arguments: Any) -> Any:
        return original(self, *arguments) if self._ordered < 3 else None

    return order


MUTANTS: Mapping[str, Mutant] = {
    "what ran on a dead executor is not queued again": Mutant(TaskScheduler, "remove_executor", _forget_the_lost),
    "a lost map output stays in the table": Mutant(MapOutputTracker, "lose_output", _skip(False)),
    "a result counts twice": Mutant(JobResults, "add", _count_again),
    "leases of the dead are kept": Mutant(LeaseTable, "reader_lost", _skip([])),
    "an extent is reused while others read it": Mutant(LeaseTable, "retire", _skip(True)),
    "no lease comes with a location": Mutant(LeaseTable, "grant", _skip()),
    "a table of map outputs is kept when an output was lost": Mutant(KeptTables, "advance", _skip()),
    "who gives tasks back does not say so": Mutant(TaskQueue, "give_back", _say_nothing),
    "a doubled frame is taken twice": Mutant(Sequence, "arrived", _deliver_twice),
    "blocks on the heap of a dead executor stay in the table": Mutant(BlockTable, "remove_manager", _keep_heaps),
    "segments of the dead are not removed": Mutant(BlockManagerMasterEndpoint, "_give_up", _skip([])),
    "a dead executor is not replaced": Mutant(ExecutorPool, "_order", _order_none),
    "results in blocks die with their executor": Mutant(ExecutorMessages, "_keep_results", _skip()),
    "map outputs die with their executor": Mutant(Instructions, "_keep_output", _skip()),
    "a barrier lets each go at once": Mutant(BarrierAttempt, "is_complete", lambda _: property(lambda self: True)),
}
