"""What follows from the loss of an executor, all of it, in order.

1. *Fenced off* (``executor_pool``): its process is dead, and its pipes were read to their end and closed, before
   anybody hears of the loss. So what it did report counts, and what it did not never will.
2. *Blocks* (`RemoveExecutor`, ``storage``): those on its heap leave the tables. What it had reported in shared memory
   and files is adopted, after a look whether the bytes are there, but for what it was about to remove; what is in an
   external store becomes the driver's. Its leases end, so that others' extents can be reused, and segments with nothing
   in them are given up.
3. *Map outputs* of it that are in no adopted block are lost: those, and no others, will be computed again.
4. *Tasks* that it had are queued again (``scheduler``): queued ones without blame, a running one with blame if it alone
   can have been the cause. Nothing is launched before all this has happened.
5. *Copies* of blocks with replicas are made again, by the block master in the background (``storage.master_replicas``).
6. *A replacement* is ordered, now or after a pause (``executor_pool``, ``replacements``).

Covers steps 2 to 4 and keeps their order; state machines all of them, so this has no pipes or threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from localcluster.driver.block_master import BlockMaster
from localcluster.driver.heartbeats import Heartbeats
from localcluster.driver.instructions import Instructions
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from protocol.block_messages import RemoveExecutor
from protocol.locations import DRIVER

log = logging.getLogger(__name__)


class ExecutorLoss:
    """Call it with the id of a lost executor and the reason. Under the driver's lock."""

    def __init__(
        self,
        dag: DAGScheduler,
        outputs: MapOutputTracker,
        master: BlockMaster,
        instructions: Instructions,
        heartbeats: Heartbeats,
        clock: Callable[[], float],
    ) -> None:
        self._dag = dag
        self._outputs = outputs
        self._master = master
        self._instructions = instructions
        self._heartbeats = heartbeats
        self._clock = clock

    def __call__(self, executor_id: str, reason: str) -> None:
        self._heartbeats.forget(executor_id)
        self._instructions.executor_lost(executor_id)
        self._master.receive(DRIVER, RemoveExecutor(executor_id))
        self._lose_outputs(executor_id)
        self._dag.executor_lost(executor_id, reason, self._clock())

    def _lose_outputs(self, executor_id: str) -> None:
        for shuffle_id in self._outputs.shuffles():
            for map_index, status in enumerate(self._outputs.table(shuffle_id)):
                if status is None or status.executor_id != executor_id:
                    continue
                blocks = self._instructions.blocks_of(shuffle_id, status)
                if not all(self._master.endpoint.is_stored(block_id) for block_id, _ in blocks):
                    log.warning("output %d of shuffle %d went with executor %s", map_index, shuffle_id, executor_id)
                    self._dag.output_lost(shuffle_id, map_index)
