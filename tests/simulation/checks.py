"""What must hold: at the end of each job, when all jobs have ended, and when everything was let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.block_messages import GetStorageStatus
from protocol.errors import ClusterError, JobCancelledError, JobError, TaskError
from protocol.locations import DRIVER, FileLocation, HeapLocation, ShmLocation
from storage.block_id import BlockId, RDDBlockId

if TYPE_CHECKING:
    from tests.simulation.driver import RunningJob
    from tests.simulation.executor import SimulatedExecutor
    from tests.simulation.world import World

ATTEMPTS = 4  # of a task, and of a stage


def check_end_of_job(world: World, running: RunningJob) -> None:
    assert running.end is not None
    error, rdd = running.end.error, running.rdd
    partitions = range(rdd.getNumPartitions())
    assert len(running.updates) == len(set(running.updates)), "an accumulator counted a result task twice"
    for index, records in running.results.items():
        assert records == rdd.model(index), f"partition {index} of RDD {rdd.id()}: {records}, not {rdd.model(index)}"
    if error is None:
        there = sorted({*running.results, *running.lost})
        assert there == list(partitions), f"RDD {rdd.id()}: {there}"
        assert not rdd.bad, "a bad partition was computed"
        return
    cause = _cause(world, running, error)
    assert cause, f"job of RDD {rdd.id()} ended by what no fault explains: {error!r}"


def _cause(world: World, running: RunningJob, error: BaseException) -> bool:
    """Whether the faults of the seed make the error right."""
    text, faults = str(error), world.faults.counts
    deaths = sum(not executor.is_alive for executor in world.launcher.executors.values())
    if isinstance(error, JobCancelledError):
        return running.was_cancelled or world.driver.has_stopped
    if isinstance(error, ClusterError):
        return deaths >= 5 or faults["not fork"] > 0
    if isinstance(error, JobError) and "slots at once" in text:
        return world.program.changes_executors
    if running.rdd.bad and "is bad" in text:
        return True
    raised, lost = faults["raise in a task"], faults["lose a file"]
    if "cannot run anywhere due to node and executor excludeOnFailure" in text:
        return raised > 0
    if "SPARK-24819" in text:  # executors where tasks failed are excluded, and the rest has too few slots
        return raised > 0 or world.program.changes_executors
    if "maximum allowable number of times" in text or "barrier" in text:
        return bool(running.rdd.bad) or deaths + raised + lost >= ATTEMPTS
    if isinstance(error, TaskError) and "ExecutorLostFailure" in text:
        return deaths >= ATTEMPTS
    return isinstance(error, TaskError) and "SimulatedError" in text and raised >= ATTEMPTS


def check_stored(world: World) -> None:
    """What the master says is stored is there, and right."""
    world.driver.check()
    statuses = world.driver.backend.master.receive(DRIVER, GetStorageStatus()).result(0)
    for storage in statuses:
        for block_id, status in storage.blocks.items():
            if not isinstance(block_id, RDDBlockId):
                continue
            what = f"{block_id} of {storage.block_manager_id.executor_id}"
            expected = world.rdds.by_id[block_id.rdd_id].model(block_id.split_index)
            if isinstance(status.location, HeapLocation):
                executor = world.launcher.executors[status.location.executor_id]
                assert executor.is_alive, f"{what} was on the heap of a dead executor"
                block = executor.blocks.blocks.get(block_id)
                assert block is not None, f"{what} is not there"
                assert block.value == expected, what
            elif isinstance(status.location, ShmLocation | FileLocation):
                found = world.memory.files.get(status.location.path, {}).get(status.location.offset)
                lost = found is None and world.faults.counts["lose a file"] > 0
                assert lost or found == expected, f"{what} at {status.location}: {found}"


def check_lost(world: World) -> None:
    """What was in shared memory or files outlives its executor, whatever happens, but for files that were removed."""
    if world.faults.counts["lose a file"]:
        return
    for name in world.driver.lost_blocks:
        block_id = BlockId.parse(name)
        level = None if block_id.of_rdd is None else world.rdds.by_id[block_id.of_rdd].level
        assert level is not None, f"{name} was lost"
        assert level.use_memory, f"{name} was lost"
        assert not level.use_off_heap, f"{name} was lost"


def check_when_quiet(world: World) -> None:
    """Nothing is left of jobs, blocks, leases, and dead executors."""
    world.driver.check()
    living = [executor for executor in world.launcher.executors.values() if executor.is_alive]
    backend = world.driver.backend
    if world.driver.hopeless is None:
        known = {executor.executor_id: executor.pid for executor in backend.pool}
        assert known == {executor.id: executor.pid for executor in living}, f"the pool knows {known}"
        assert len(living) == backend.pool.target, f"{len(living)} executors, not {backend.pool.target}"
    dag, blocks = backend.dag.statistics(), backend.master.endpoint.statistics()
    left = (dag.jobs.running, dag.stages.running, dag.stages.waiting, dag.stages.retired, dag.tasks.pending)
    assert not any(left), f"jobs, stages or tasks are left: {dag}"
    assert dag.tasks.at_executors == 0, f"tasks are at executors: {dag.tasks}"
    assert dag.tasks.binaries == 0, f"code is kept: {dag.tasks}"
    assert blocks.blocks == 0, f"blocks are left: {backend.master.endpoint._table._holders}"
    assert blocks.leases == 0, f"leases are held: {backend.master.endpoint._leases._readers}"
    assert blocks.extents_in_limbo == 0
    assert blocks.managers == len(living) + 1
    for executor in living:
        _check_executor(executor)
    segments = {path for executor in living for path in executor.blocks.arena.segments}
    left_over = {path for path in world.memory.files if path.startswith("/shm/")} - segments
    assert not left_over, f"segments of dead executors are left: {left_over}"
    assert blocks.segments == len(segments), f"{blocks.segments} segments in the books, {len(segments)} exist"


def check_stopped(world: World) -> None:
    """A context that was stopped leaves no executor, and no job that waits."""
    world.driver.backend.dag.check()
    assert not world.driver.backend.dag.jobs, "a job outlived its context"
    living = [executor.id for executor in world.launcher.executors.values() if executor.is_alive]
    assert not living, f"executors {living} live on"


def _check_executor(executor: SimulatedExecutor) -> None:
    who = f"executor {executor.id}"
    assert executor.stopped_at is None, who
    assert not executor.running, f"{who} runs {executor.running}"
    assert not executor.blocks.blocks, f"{who} keeps {executor.blocks.blocks}"
    arena = executor.blocks.arena
    assert not arena.used, f"{who} keeps extents: {arena.used}"
    assert not arena.limbo, f"{who} waits for extents: {arena.limbo}"
