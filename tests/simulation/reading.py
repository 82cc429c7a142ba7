"""How a simulated task gets records: cached blocks here and elsewhere, map outputs, or computing them.

The order of messages is that of `storage.remote_blocks` and `shuffle.manager`; what is wrong with bytes that were read
shows in the job's result.
"""

from __future__ import annotations

import pickle
from typing import Any

from localcluster.shuffle.kept_tables import KeptTables
from localcluster.shuffle.map_status import MapStatus
from protocol import block_messages as m
from protocol.cluster_messages import GetMapOutputs
from protocol.errors import FetchFailedError, StaleLocationError
from protocol.locations import BlockManagerId, FileLocation, HeapLocation, Location, ShmLocation
from storage.block_id import BlockId, RDDBlockId, ShuffleDataBlockId, ShuffleIndexBlockId
from tests.simulation.blocks import SimulatedBlocks
from tests.simulation.faults import Faults
from tests.simulation.rdds import Records, SimulatedRDD, parts_of
from tests.simulation.steps import Doing, Work


class SimulatedError(Exception):
    """What a task of the user's raises."""


class Reading:
    """What one executor's tasks read and compute."""

    def __init__(self, blocks: SimulatedBlocks, faults: Faults) -> None:
        self._blocks = blocks
        self._faults = faults
        self.tables = KeptTables()

    # --- computing ---

    def records(self, rdd: SimulatedRDD, index: int) -> Doing[Records]:
        """Of one partition, from a cache if it is kept in one."""
        if not rdd.level.is_valid:
            return (yield from self._compute(rdd, index))
        block_id = RDDBlockId(rdd.id(), index)
        found: Records | None = yield from self._cached(block_id)
        if found is None:
            found = yield from self._compute(rdd, index)
            yield from self._blocks.put(block_id, found, rdd.level)
            yield from self._blocks.end_if_doomed(block_id)
        return found

    def _compute(self, rdd: SimulatedRDD, index: int) -> Doing[Records]:
        yield Work(self._faults.task_time())
        if index in rdd.bad:
            raise SimulatedError(f"partition {index} of RDD {rdd.id()} is bad")
        if self._faults.happens("raise in a task"):
            raise SimulatedError("by chance")
        if not rdd.dependencies:
            return rdd.source(index)
        if rdd.shuffles:
            return (yield from self._shuffled(rdd.shuffles[0].shuffle.id, index))
        (dependency,) = rdd.dependencies
        parent: Any = dependency.rdd
        return rdd.change((yield from self.records(parent, index)))

    # --- cached blocks ---

    def _cached(self, block_id: BlockId) -> Doing[Records | None]:
        own = self._blocks.blocks.get(block_id)
        if own is not None and not own.is_doomed:
            if isinstance(own.location, HeapLocation):
                return own.value  # type: ignore[no-any-return]
            try:
                return self._blocks.memory.read(own.location)  # type: ignore[arg-type,no-any-return]
            except StaleLocationError:
                if isinstance(own.location, ShmLocation):
                    return own.value  # type: ignore[no-any-return]  # it is mapped here
                yield from self._blocks.remove(block_id)
                return None
        answer = yield self._blocks.ask(m.GetLocations(block_id))
        left = [entry for entry in answer if entry[0] != self._blocks.me]
        try:
            while left:
                found = yield from self._try(block_id, *left.pop(0))
                if found is not None:
                    return found
            return None
        finally:
            self._blocks.releases += [(place, 1) for _, place in left if isinstance(place, ShmLocation)]

    def _try(self, block_id: BlockId, holder: BlockManagerId, location: Location) -> Doing[Records | None]:
        if isinstance(location, ShmLocation | FileLocation):
            found = yield from self._map(location)
            if found is not None:
                return found
        shared = yield self._blocks.ask(m.FetchBlock(block_id, holder.executor_id))
        if shared is not None:
            found = yield from self._map(shared)
            if found is not None:
                return found
        elif isinstance(location, HeapLocation):
            return None
        self._blocks.tell(m.ReportStaleLocation(block_id, holder, location))
        return None

    def _map(self, location: ShmLocation | FileLocation) -> Doing[Records | None]:
        """Read through a view, which has to stay as it is for as long as its lease is not given back."""
        memory = self._blocks.memory
        try:
            found: Records | None = memory.read(location)
            yield self._faults.between(0.0, 0.01)
            if memory.exists(location.path):
                assert memory.read(location) is found, f"{location} changed while it was read under a lease"
        except StaleLocationError:
            found = None
        if isinstance(location, ShmLocation):
            self._blocks.releases.append((location, 1))
        return found

    # --- shuffles ---

    def _shuffled(self, shuffle_id: int, index: int) -> Doing[Records]:
        table = yield from self._table(shuffle_id)
        records: list[int] = []
        for map_index, status in enumerate(table):
            if status is None:
                raise FetchFailedError(shuffle_id, {map_index: None}, "it is being computed again")
            try:
                records += self._part(status, index)
            except StaleLocationError as error:
                bad = {
                    n: other.map_id
                    for n, other in enumerate(table)
                    if other is not None and (n == map_index or not self._is_whole(other))
                }
                raise FetchFailedError(shuffle_id, bad, str(error)) from error
            yield 0.0
        return tuple(records)

    def _part(self, status: MapStatus, index: int) -> Records:
        data, slots = status.blocks
        assert data is not None
        assert slots is not None
        number = self._blocks.memory.read(slots)[index]
        return self._blocks.memory.read(data)[number]  # type: ignore[no-any-return]

    def _is_whole(self, status: MapStatus) -> bool:
        return all(place is None or self._blocks.memory.exists(place.path) for place in status.blocks)

    def _table(self, shuffle_id: int) -> Doing[list[MapStatus | None]]:
        known, forgotten = self.tables.get(shuffle_id), self.tables.forgotten
        if known is not None:
            return list(known)
        answer = yield self._blocks.ask(GetMapOutputs(shuffle_id))
        if answer is None:
            raise FetchFailedError(shuffle_id, {}, "the driver does not know this shuffle any more")
        table = [None if row is None else MapStatus._make(row) for row in pickle.loads(answer)]
        self.tables.keep(shuffle_id, table, forgotten)
        return table

    def write(self, shuffle_id: int, partitions: int, map_id: int, records: Records) -> Doing[tuple[Any, ...]]:
        """A map task's output: a block of the parts, and one that says where each is."""
        parts = parts_of(records, partitions)
        data = yield from self._blocks.put_shared(ShuffleDataBlockId(shuffle_id, map_id, 0), parts)
        index = yield from self._blocks.put_shared(ShuffleIndexBlockId(shuffle_id, map_id, 0), range(partitions))
        return data, index
