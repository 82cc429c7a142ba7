"""Jobs without RDDs, for tests of the scheduler: stages, and what is computed from what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from localcluster.scheduler.stage import Job, JobEvent, Missing, Stage


class Events(list[JobEvent]):
    """What a job has delivered."""

    __call__ = list.append


class Lineage:
    """Makes what stages are computed from, and jobs. Each job has stages of its own; shuffles are shared."""

    def __init__(self) -> None:
        self._shuffle_ids, self._job_ids, self._stage_ids = count(), count(), count()
        self._map_sides: dict[int, Dataset] = {}  # {shuffle id: what its map stage computes}

    def source(self, partitions: int) -> Dataset:
        return Dataset(partitions, ())

    def narrow(self, *parents: Dataset) -> Dataset:
        shuffle_ids = dict.fromkeys(shuffle_id for parent in parents for shuffle_id in parent.shuffle_ids)
        return Dataset(parents[0].partitions, tuple(shuffle_ids), any(parent.is_barrier for parent in parents))

    def barrier(self, parent: Dataset) -> Dataset:
        return Dataset(parent.partitions, parent.shuffle_ids, is_barrier=True)

    def shuffled(self, *parents: Dataset, partitions: int | None = None) -> Dataset:
        shuffle_ids = tuple(next(self._shuffle_ids) for _ in parents)
        self._map_sides.update(zip(shuffle_ids, parents, strict=True))
        return Dataset(parents[0].partitions if partitions is None else partitions, shuffle_ids)

    def job(
        self,
        last: Dataset,
        partitions: Sequence[int] | None = None,
        pool: str | None = None,
        deliver: Callable[[JobEvent], None] | None = None,
    ) -> Job:
        map_stages = {shuffle_id: self._map_stage(shuffle_id) for shuffle_id in self._ancestors(last)}
        final_stage = self._stage("action", None, last, range(last.partitions) if partitions is None else partitions)
        properties = {} if pool is None else {"spark.scheduler.pool": pool}
        return Job(next(self._job_ids), final_stage, map_stages, properties, deliver or Events())

    def _ancestors(self, last: Dataset) -> list[int]:
        """Ids of all shuffles behind it, parents before children."""
        found: set[int] = set()
        todo = list(last.shuffle_ids)
        while todo:
            shuffle_id = todo.pop()
            if shuffle_id not in found:
                found.add(shuffle_id)
                todo += self._map_sides[shuffle_id].shuffle_ids
        return sorted(found)

    def _map_stage(self, shuffle_id: int) -> Stage:
        of = self._map_sides[shuffle_id]
        return self._stage("shuffle", shuffle_id, of, range(of.partitions))

    def _stage(self, name: str, shuffle_id: int | None, of: Dataset, partitions: Sequence[int]) -> Stage:
        return Stage(next(self._stage_ids), name, shuffle_id, of.shuffle_ids, partitions, b"binary", of, of.is_barrier)


class Dataset:
    """What the driver knows of a stage's inputs, and tests set. A position's partition has the same number."""

    def __init__(self, partitions: int, shuffle_ids: tuple[int, ...], is_barrier: bool = False) -> None:
        self.partitions = partitions
        self.shuffle_ids = shuffle_ids
        self.is_barrier = is_barrier
        self.wishes: Mapping[int, Sequence[str]] = {}  # {position: executor ids}
        self.unsendable: set[int] = set()  # positions
        self.missing: Missing | None = None

    def encode(self, position: int) -> bytes:
        if position in self.unsendable:
            raise RecursionError("nested too deeply")
        return b"partition"

    def preferences(self, positions: Sequence[int]) -> Mapping[int, Sequence[str]]:
        return self.wishes

    def missing_blocks(self) -> Missing | None:
        return self.missing
