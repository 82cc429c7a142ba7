"""A context that runs jobs in this very process: stages one after the other, blocks and shuffles in dicts.

For tests of the RDD API: no processes, but everything that would travel is pickled and unpickled on its way, so what
cannot travel fails here too. Tasks get lineages, partitions and results as executors and the driver do: as new objects.
"""

from __future__ import annotations

import itertools
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import cloudpickle

from localcluster.api.job_control import JobControl
from localcluster.conf.job_properties import JobProperties
from localcluster.rdd.cached_as import look_at_entries
from localcluster.rdd.checkpoint import Checkpoints
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.job_service import PlannedJob
from localcluster.rdd.lineage import dump_lineage, load_lineage
from localcluster.rdd.sources import Sources
from localcluster.serializers import AutoBatchedSerializer, CPickleSerializer
from localcluster.shuffle.combiner import Combiner
from localcluster.shuffle.shuffle import Shuffle
from localcluster.shuffle.spill import SizeGauge
from localcluster.task.env import set_env
from protocol.sql_errors import IllegalArgumentException


class PickledData:
    """Stands for ``PartitionData``."""

    def __init__(self, values: list[Any]) -> None:
        self.payload = cloudpickle.dumps(values)

    def read(self, task_context: Any) -> Iterator[Any]:
        return iter(pickle.loads(self.payload))


class DictBlocks:
    """Stands for the block manager; ``computed`` are the names of the blocks that were put."""

    def __init__(self) -> None:
        self.blocks: dict[str, bytes] = {}
        self.computed: list[str] = []

    def get_or_else_update(self, block_id: Any, level: Any, make: Callable[[], Iterator[Any]]) -> tuple[Any, None]:
        assert level.is_valid
        if block_id.name not in self.blocks:
            self.blocks[block_id.name] = pickle.dumps(list(make()))
            self.computed.append(block_id.name)
        return SimpleNamespace(values=iter(pickle.loads(self.blocks[block_id.name]))), None


class DictShuffles:
    """Stands for the shuffle manager: {shuffle id: for each map task, for each reducer, its pickled records}."""

    def __init__(self) -> None:
        self.outputs: dict[int, list[dict[int, bytes]]] = {}

    def write(self, shuffle: Shuffle, records: Iterator[Any]) -> None:
        if shuffle.map_side_combine:
            assert shuffle.aggregator is not None
            records = iter(shuffle.aggregator.combine_values(records).items())
        buckets: list[list[Any]] = [[] for _ in range(shuffle.partitioner.numPartitions)]
        for record in map(tuple, records):
            buckets[shuffle.partitioner(record[0])].append(record)
        self.outputs[shuffle.id].append({i: pickle.dumps(bucket) for i, bucket in enumerate(buckets) if bucket})

    def read(self, shuffle: Shuffle, index: int, on_completion: Any, map_tasks: range | None = None) -> Iterator[Any]:
        outputs = self.outputs[shuffle.id]
        chosen = range(len(outputs)) if map_tasks is None else map_tasks
        parts = (pickle.loads(outputs[task][index]) for task in chosen if index in outputs[task])
        records = itertools.chain.from_iterable(parts)
        if shuffle.aggregator is None:
            return records
        combine = shuffle.aggregator.merge_combiners if shuffle.map_side_combine else shuffle.aggregator.combine_values
        return iter(combine(records).items())

    def combiner(self, merge_combiners: Callable[[Any, Any], Any]) -> Combiner:
        return Combiner(merge_combiners, SizeGauge(sys.maxsize), None)  # type: ignore[arg-type]  # it never spills

    def sort(self, records: Iterator[Any], key: Any, reverse: bool) -> Iterator[Any]:
        return iter(sorted(records, key=key, reverse=reverse))


class StartedHere:
    """A `PlannedJob` that runs when it is started. Abandoned ones are added to a list."""

    def __init__(
        self, run: Callable[[], list[Any]], on_result: Callable[[int, Any], None], abandoned: list[Any]
    ) -> None:
        self.run, self.on_result, self.abandoned = run, on_result, abandoned
        self.outcome: list[Any] | Exception = []

    def start(self) -> None:
        try:
            self.outcome = self.run()
        except Exception as error:
            self.outcome = error

    def collect(self, seconds: float | None = None) -> bool:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        for position, value in enumerate(self.outcome):
            self.on_result(position, value)
        return True

    def abandon_later(self) -> None:
        self.abandoned.append(self)


class LocalContext(Sources, JobControl):
    """A `JobService`. ``jobs`` records the partitions of every job, ``abandoned`` the jobs that were given up."""

    def __init__(self, parallelism: int = 2, conf: dict[str, str] | None = None) -> None:
        self.applicationId = "local-0"
        self.defaultParallelism = parallelism
        self.defaultMinPartitions = min(parallelism, 2)
        self.conf = conf or {}
        self.serializer = AutoBatchedSerializer(CPickleSerializer())
        self._batchSize = 0
        self.blocks = DictBlocks()
        self.shuffles = DictShuffles()
        self.jobs: list[list[int]] = []
        self.abandoned: list[StartedHere] = []
        self.persisted: dict[int, Any] = {}
        self.properties = JobProperties()
        self._checkpoints = Checkpoints()
        self._jobs: Any = self  # one object is all the parts
        self._kept = self
        self._next_rdd_id = itertools.count().__next__
        self._next_shuffle_id = itertools.count().__next__

    # --- `KeepsData` ---

    def put_partition(self, values: list[Any]) -> PickledData:
        assert type(values) is list
        return PickledData(values)

    def persist(self, rdd: Any) -> None:
        self.persisted[rdd.id()] = rdd.getStorageLevel()
        weakref.finalize(rdd, self.unpersist, rdd.id(), False)

    def unpersist(self, rdd_id: int, blocking: bool) -> None:
        self.persisted.pop(rdd_id, None)
        prefix = f"rdd_{rdd_id}_"
        self.blocks.blocks = {k: v for k, v in self.blocks.blocks.items() if not k.startswith(prefix)}

    def stored_partitions(self, rdd_id: int) -> dict[int, tuple[int, int]]:
        prefix = f"rdd_{rdd_id}_"
        blocks = {name: data for name, data in self.blocks.blocks.items() if name.startswith(prefix)}
        return {int(name.removeprefix(prefix)): (len(data), 0) for name, data in blocks.items()}

    def missing_partitions(self, rdd: Any) -> list[int]:
        stored = self.stored_partitions(rdd.id())
        return [index for index in range(rdd.getNumPartitions()) if index not in stored]

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        weakref.finalize(dependency, self.remove_shuffle, dependency.shuffle.id, False)

    def remove_shuffle(self, shuffle_id: int, blocking: bool) -> None:
        self.shuffles.outputs.pop(shuffle_id, None)

    def register_checkpoint(self, checkpoint: Any, directory: str) -> None:
        """Files stay, as they do unless the settings say otherwise."""

    # --- `RunsJobs` ---

    def run(
        self, rdd: Any, func: Callable[[Any, Iterator[Any]], Any], partitions: Sequence[int] | None = None
    ) -> list[Any]:
        partitions = range(rdd.getNumPartitions()) if partitions is None else partitions
        self.jobs.append(list(partitions))
        if partitions:
            self._run_shuffles(rdd)
        look_at_entries(rdd)
        results = [self._run_task(rdd, func, index) for index in partitions]
        self._checkpoints.write(rdd)
        return results

    def plan(
        self, rdd: Any, func: Callable[..., Any], partitions: Sequence[int], on_result: Callable[[int, Any], None]
    ) -> StartedHere:
        if not set(partitions) <= set(range(rdd.getNumPartitions())):
            raise IllegalArgumentException("Attempting to access a non-existent partition")
        return StartedHere(lambda: self.run(rdd, func, partitions), on_result, self.abandoned)

    def finish_in_background(self, job: PlannedJob) -> None:
        job.collect()

    def _run_task(self, rdd: Any, action: Any, index: int) -> Any:
        lineage, loaded = load_lineage(dump_lineage(rdd, action))
        partition = pickle.loads(pickle.dumps(rdd._partitions()[index]))
        assert partition.index == index
        env = SimpleNamespace(block_manager=self.blocks, shuffle_manager=self.shuffles)
        context = SimpleNamespace(env=env, on_completion=lambda callback: None)
        before = set_env(env)  # type: ignore[arg-type]
        try:
            records = lineage.iterator(partition, context)  # type: ignore[arg-type]
            assert iter(records) is records
            if isinstance(loaded, Shuffle):
                return self.shuffles.write(loaded, records)
            return pickle.loads(cloudpickle.dumps(loaded(context, records)))
        finally:
            set_env(before)

    def _run_shuffles(self, rdd: Any) -> None:
        for dependency in rdd.dependencies:
            if not isinstance(dependency, ShuffleDependency):
                self._run_shuffles(dependency.rdd)
            elif dependency.shuffle.id not in self.shuffles.outputs:
                self._run_shuffles(dependency.rdd)
                self.shuffles.outputs[dependency.shuffle.id] = []
                for index in range(dependency.rdd.getNumPartitions()):
                    self._run_task(dependency.rdd, dependency.shuffle, index)

    def parts(self, partitions: Sequence[Sequence[Any]]) -> Any:
        """An RDD with exactly these partitions."""
        given = [list(partition) for partition in partitions]
        return self.parallelize(range(len(given)), max(len(given), 1)).flatMap(lambda i: given[i])
