"""The real driver's state machines over simulated executors, with what is around them in `Cluster`: a loop, a thread
for what may wait, the driver's own block manager, rounds, and the threads that wait for jobs.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from localcluster.conf.master_url import Layout
from localcluster.driver.make_scheduler import make_scheduler
from localcluster.driver.scheduler_backend import SchedulerBackend
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.stage import Job, JobEnd, JobEvent
from protocol import block_messages as m
from protocol.cluster_messages import ExecutorHeartbeat
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import ChannelError, ClusterError, StaleLocationError
from protocol.events import BlockLost, Event, TasksLaunched
from protocol.hook import Passing
from protocol.locations import DRIVER, BlockManagerId, SharedLocation
from protocol.message import Report
from protocol.task_output import InBlock, Inline
from storage.block_id import BlockId, TaskResultBlockId
from tests.simulation.rdds import Records, SimulatedRDD

if TYPE_CHECKING:
    from tests.simulation.world import World

CONF = {
    "spark.executor.heartbeatInterval": "1s",
    "spark.network.timeout": "10s",
    "spark.task.reaper.killTimeout": "5s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "2s",  # 40 times 15 s is longer than a seed may take
    "localcluster.sharedMemory": "16m",
}
OPTIONS = {
    "spark.speculation": "true",
    "spark.scheduler.mode": "FAIR",
    "spark.excludeOnFailure.enabled": "true",
}
"""Settings that some seeds have."""
CHECKED = 5  # rounds between two audits of all tables while jobs run
LAYOUT = Layout(executors=3, cores=2, max_failures=4)


class SimulatedLoop:
    """Reads the driver's ends of pipes, several messages at once when they come close together."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read: set[Endpoint] = set()

    def add(
        self, endpoint: Endpoint, on_messages: Callable[[list[Incoming]], None], on_end: Callable[[ChannelError], None]
    ) -> None:
        self._read.add(endpoint)
        if self._world.trace.keep:
            endpoint.hook = self._note
        pending = [False]

        def serve() -> None:
            pending[0] = False
            if endpoint not in self._read:
                return
            try:
                incoming = endpoint.receive_ready()
            except ChannelError as end:
                self._read.discard(endpoint)
                on_end(end)
                return
            if incoming:
                on_messages(incoming)
                readable()  # the end may be behind them

        def readable() -> None:
            if not pending[0]:
                pending[0] = True
                self._world.clock.later(self._world.faults.between(0.0, 0.001), serve)

        endpoint.channel.on_readable = readable  # type: ignore[attr-defined]
        readable()

    def remove(self, endpoint: Endpoint) -> None:
        self._read.discard(endpoint)

    def _note(self, passing: Passing) -> None:
        if not isinstance(passing.message, ExecutorHeartbeat | m.BlockManagerHeartbeat | bool):
            self._world.trace(passing.channel, passing.way.value, passing.message)


class SimulatedSide:
    """The side thread."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, work: Callable[[], None]) -> None:
        self._world.clock.later(self._world.faults.between(0.0, 0.002), work)


class OwnSlave:
    """The driver's own block manager, which stores nothing, and removes what dead ones left."""

    def __init__(self, world: World) -> None:
        self._world = world

    def receive(self, order: Any) -> Any:
        if isinstance(order, m.ReleaseSegment):
            if order.remove:
                self._world.memory.unlink(order.segment)
            return None
        assert isinstance(order, m.RemoveRdd | m.RemoveShuffle | m.TakeUses), order
        return () if isinstance(order, m.TakeUses) else 0


class RunningJob:
    """A job as the thread that waits for it sees it."""

    def __init__(self, driver: SimulatedDriver, rdd: SimulatedRDD) -> None:
        self._driver = driver
        self.rdd = rdd
        self.job: Job | None = None
        self.results: dict[int, Records] = {}
        self.updates: list[tuple[int, int]] = []  # (stage id, partition) of result tasks
        self.lost: set[int] = set()  # positions whose result somebody removed before it was read
        self.end: JobEnd | None = None
        self.was_cancelled = False
        self._events: deque[JobEvent] = deque()

    def deliver(self, event: JobEvent) -> None:
        """Under the driver's lock: the thread looks at it a little later."""
        self._events.append(event)
        self._driver.world.clock.later(self._driver.world.faults.between(0.0, 0.005), self._take)

    def _take(self) -> None:
        event = self._events.popleft()
        assert self.end is None or not isinstance(event, JobEnd), f"job of RDD {self.rdd.id()} ended twice"
        if isinstance(event, JobEnd):
            self.end = event
            self._driver.world.trace("job", "ends", (self.rdd.id(), event.error))
            return
        assert self.job is not None
        if self.job.final_stage.is_barrier and any(outcome.position is not None for outcome in event):
            assert len(event) >= len(self.job.final_stage.partitions), "some results of a barrier stage counted alone"
        for outcome in event:
            if outcome.position is None:
                continue
            assert outcome.position not in self.results, f"position {outcome.position} was delivered twice"
            self.updates.append(pickle.loads(outcome.updates or b""))
            if isinstance(outcome.result, InBlock):
                self._read(outcome.position, outcome.result.location)
                self._driver.tell(m.RemoveBlock(TaskResultBlockId(outcome.task_id)))
            else:
                assert isinstance(outcome.result, Inline)
                self.results[outcome.position] = pickle.loads(outcome.result.data)

    def _read(self, position: int, location: SharedLocation) -> None:
        world = self._driver.world
        try:
            self.results[position] = world.memory.read(location)
        except StaleLocationError:
            assert self._driver.has_stopped or world.faults.counts["lose a file"], (
                f"the result of position {position} is gone"
            )
            self.lost.add(position)


class SimulatedDriver:
    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs: list[RunningJob] = []
        self.hopeless: str | None = None
        self.has_stopped = False
        self.lost_blocks: list[str] = []  # names
        self._rounds = 0
        outputs = MapOutputTracker(self._record)
        conf = CONF | {key: text for key, text in OPTIONS.items() if world.random.random() < 0.3}
        dag = make_scheduler(conf, LAYOUT, outputs, self._record)
        self.backend = SchedulerBackend(
            dag,
            outputs,
            conf,
            LAYOUT,
            world.launcher,  # type: ignore[arg-type]
            SimulatedLoop(world),  # type: ignore[arg-type]
            SimulatedSide(world),  # type: ignore[arg-type]
            nullcontext(),
            put_table=self._no_table_is_large,
            on_hopeless=self._hopeless,
            record=self._record,
            is_whole=world.memory.has,
            clock=world.clock,
            look=world.launcher.look,
        )
        self.backend.master.slave = OwnSlave(world)  # type: ignore[assignment]
        self.launcher_told = self.backend.pool.launcher_told

    def start(self) -> None:
        self.tell(m.RegisterBlockManager(BlockManagerId(DRIVER, 1), 1 << 20))
        self.backend.pool.set_target(LAYOUT.executors)
        self._round()

    def _round(self) -> None:
        pause = self.backend.round(self.world.clock.now)
        self._rounds += 1
        if self.backend.dag.jobs and self._rounds % CHECKED == 0:
            self.check()
        self.world.clock.later(pause, self._round)

    def check(self) -> None:
        self.backend.dag.check()
        self.backend.master.endpoint.check()

    def tell(self, message: Report) -> None:
        """From the driver's own block manager, or a program's thread."""
        self.backend.master.tell(message)

    def run(self, rdd: SimulatedRDD) -> RunningJob:
        running = RunningJob(self, rdd)
        self.jobs.append(running)
        self.world.trace("job", "starts", rdd.id())
        running.job = self.world.rdds.job(rdd, self.backend.master, running.deliver)
        if self.hopeless is None:
            self.backend.submit(running.job)
        else:
            running.end = JobEnd(ClusterError(self.hopeless))
        return running

    def cancel(self, running: RunningJob) -> None:
        running.was_cancelled = True
        if running.job is not None:
            self.backend.cancel(running.job.id, "because the simulation says so")

    def stop(self) -> None:
        """As `Cluster.stop`."""
        self.world.trace("driver", "stops")
        self.has_stopped = True
        for job_id in list(self.backend.dag.jobs):
            self.backend.cancel(job_id, "because SparkContext was shut down")
        self.backend.master.receive(DRIVER, m.StopBlockManagerMaster())
        self.backend.pool.stop()
        self.world.launcher.end()

    def _hopeless(self, reason: str) -> None:
        self.world.trace("driver", "gives up:", reason)
        self.hopeless = self.hopeless or reason
        self.backend.dag.fail_all(ClusterError(reason))

    def _record(self, event: Event | TasksLaunched) -> None:
        self.world.trace("history", type(event).__name__, event[1:])
        if isinstance(event, BlockLost) and not self.has_stopped:
            self.lost_blocks.append(event.block_id)

    def _no_table_is_large(self, table: bytes) -> BlockId:
        raise AssertionError(f"a table of {len(table)} bytes")
