"""The RDD on the reading side of one shuffle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.partitioner import Partitioner
from localcluster.shuffle.shuffle import Shuffle

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

K = TypeVar("K")
V = TypeVar("V")


class ShuffledRDD(RDD[tuple[K, V]]):
    """The parent's ``(key, value)`` records placed by ``partitioner``, and combined by key when there is an
    ``aggregator``.
    """

    def __init__(
        self,
        parent: RDDCore[Any],
        partitioner: Partitioner,
        aggregator: Aggregator | None = None,
        map_side_combine: bool = False,
    ) -> None:
        self.num_partitions = partitioner.numPartitions
        dependency = ShuffleDependency(parent, partitioner, aggregator, map_side_combine)
        super().__init__(parent.ctx, (dependency,), partitioner)

    def _make_partitions(self) -> list[Partition]:
        return [Partition(index) for index in range(self.num_partitions)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[tuple[K, V]]:
        return task_context.env.shuffle_manager.read(self._shuffle, partition.index, task_context.on_completion)

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        return self._shuffle.functions

    @property
    def _shuffle(self) -> Shuffle:
        (dependency,) = self.dependencies  # kept nowhere else: a checkpoint takes it away, and its outputs can go
        assert isinstance(dependency, ShuffleDependency)
        return dependency.shuffle
