"""In which order task sets get free cores: FIFO, or FAIR between pools. Follows Spark's ``SchedulingAlgorithm``.

Plain functions of what runs now. Where pools are configured is in ``allocation_file``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from localcluster.scheduler.task_set import TaskSet

POOL_PROPERTY = "spark.scheduler.pool"  # a local property of the threads that start jobs
DEFAULT_POOL = "default"

SchedulingOrder: TypeAlias = Callable[[Iterable[TaskSet]], list[TaskSet]]


@dataclass(frozen=True)
class Pool:
    """A pool of jobs that are scheduled together.

    ``fair``: between the jobs in it; else first come, first served. ``min_share`` is in tasks that run.
    """

    name: str
    fair: bool = False
    weight: int = 1
    min_share: int = 0


def fifo(task_sets: Iterable[TaskSet]) -> list[TaskSet]:
    """The oldest job first, and its stages in order."""
    return sorted(task_sets, key=lambda task_set: task_set.priority)


class FairOrder:
    """Pools that run less than their minimum share come first; then those that run least for their weight.

    A pool that nobody configured has weight 1, no minimum share, and is FIFO within.
    """

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    def __call__(self, task_sets: Iterable[TaskSet]) -> list[TaskSet]:
        members: dict[str, list[TaskSet]] = {}
        for task_set in task_sets:
            members.setdefault(task_set.pool, []).append(task_set)
        pools = [self._pools.get(name) or Pool(name) for name in members]
        pools.sort(key=lambda pool: (*_need(_running(members[pool.name]), pool), pool.name))
        return [task_set for pool in pools for task_set in _within(pool, members[pool.name])]


def _within(pool: Pool, task_sets: list[TaskSet]) -> list[TaskSet]:
    if not pool.fair:
        return fifo(task_sets)
    return sorted(task_sets, key=lambda task_set: (len(task_set.running), task_set.priority))


def _running(task_sets: list[TaskSet]) -> int:
    return sum(len(task_set.running) for task_set in task_sets)


def _need(running: int, pool: Pool) -> tuple[Any, ...]:
    """Sorts the neediest first."""
    if running < pool.min_share:
        return False, running / pool.min_share
    return True, running / pool.weight
