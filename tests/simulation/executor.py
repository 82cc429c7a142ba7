"""A simulated executor: the real bookkeeping of tasks and reports, its threads as generators on virtual time.

Covers its start, heartbeat and end in good order, orders, and how tasks are run and reported. What a task computes is
``reading``'s, what it stores ``blocks``', and how it stops and dies ``process``'.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any

from localcluster.executor.report_batch import ReportBatch
from localcluster.executor.reporter import DRIVER_GONE, FLUSH_DELAY
from localcluster.executor.task_queue import TaskQueue
from protocol import cluster_messages as c
from protocol.block_messages import RemoveShuffle, StopBlockManager
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import AskTimeoutError, FetchFailedError, RemoteAskError, SparkException, TaskKilledError
from protocol.locations import BlockManagerId
from protocol.message import Report
from protocol.task_output import InBlock, Inline, MapOutput, TaskOutput
from storage.block_id import TaskResultBlockId
from storage.block_manager_master import ASK_TIMEOUT
from tests.simulation.blocks import SimulatedBlocks
from tests.simulation.process import SimulatedProcess
from tests.simulation.rdds import SimulatedRDD
from tests.simulation.reading import Reading
from tests.simulation.steps import Doing, Steps, Work

if TYPE_CHECKING:
    from tests.simulation.world import World

HEARTBEAT = 1.0  # seconds between heartbeats
HELD_OUT = 30.0  # seconds that a task may take no notice of a kill


class SimulatedExecutor(SimulatedProcess):
    """``order`` is what the launcher was told."""

    def __init__(
        self,
        world: World,
        order: c.LaunchExecutor,
        pid: int,
        channels: tuple[Any, Any],
        on_exit: Callable[[int | None, int | None], None],
    ) -> None:
        self.id, self.pid, self.cores = order.executor_id, pid, order.cores
        super().__init__(world, f"executor {self.id}", channels, on_exit)
        self._faults = world.faults
        self._queue: deque[int] = deque()  # task ids, some of them given back meanwhile
        self._tasks: TaskQueue[c.StageDescription] = TaskQueue()
        self._batch = ReportBatch()
        self.running: dict[int, Steps | None] = {}
        self._kills: dict[int, str] = {}
        self._calls: dict[int, tuple[int, Future[Any]]] = {}  # {call id: (task id, its answer)}
        self._call_ids = count()
        self._is_silent = self._faults.happens("be silent")
        self._stopping, self._keeps_blocks = False, True
        me = BlockManagerId(self.id, pid)
        self.blocks = SimulatedBlocks(me, world.memory, self._faults, self._ask, self._tell)
        self.reading = Reading(self.blocks, self._faults)
        self._do(self._start())
        self._do(self._keep_time())

    # --- its life ---

    def _start(self) -> Doing[None]:
        yield self._faults.between(0.01, 0.2)
        if self._faults.happens("die before it is ready"):
            self.die(1, None)
            return
        yield from self.blocks.register()
        self._reports.tell(c.RegisterExecutor(self.id, self.pid, self.cores))
        self._do(self._beat())

    def _beat(self) -> Doing[None]:
        while not self._stopping:
            yield HEARTBEAT
            if self._is_silent and not self._faults.are_over:
                continue
            self._tell(c.ExecutorHeartbeat(self.id, tuple(self.running), 1, 0))
            try:
                yield from self.blocks.heartbeat()
            except (AskTimeoutError, RemoteAskError):
                self.trace("got no answer to a heartbeat")

    def _end_if_idle(self) -> None:
        """In good order, when it was told to stop and the tasks that were there before are done."""
        if not self._stopping or self.running or self._queue:
            return
        if not self._keeps_blocks:
            self.blocks.unlink_all()
        if not self._faults.happens("die at an order"):
            self._flush()
        self.die(0, None)

    # --- messages ---

    def _ask(self, message: Report) -> Future[Any]:
        if not self.is_alive:
            return Future()  # nobody waits for it
        return self._reports.ask_async(message, ASK_TIMEOUT)

    def _tell(self, *reports: Report) -> None:
        """At once, after the results that happened before it."""
        if self.is_alive:
            self._flush()
            self._reports.tell(*reports)

    def _flush(self) -> None:
        finished = self._batch.take()
        reports: list[Report] = [] if finished is None else [finished]
        reports += self.blocks.take_releases()
        if reports:
            self._reports.tell(*reports)

    def _read(self, endpoint: Endpoint) -> None:
        for incoming in endpoint.receive_ready():
            self._obey(incoming)
            if not self.is_alive:
                return

    def _obey(self, incoming: Incoming) -> None:
        order = incoming.message
        if self._faults.happens("die at an order"):
            self.die(None, 11)
        elif isinstance(order, c.LaunchTasks):
            self._launch(order)
        elif isinstance(order, c.ReturnTasks):
            returned = self._tasks.give_back(order.task_ids)
            if returned:
                self._tell(c.TasksReturned(returned))
        elif isinstance(order, c.KillTask):
            self._kill(order)
        elif isinstance(order, c.DropStage):
            self._tasks.drop_stage(order.stage_key)
        elif isinstance(order, c.BarrierRelease):
            self._released(order)
        elif isinstance(order, c.StopExecutor):
            self._stopping = True
            self._end_if_idle()
        elif isinstance(order, StopBlockManager):
            self._keeps_blocks = False
        else:
            self._obey_the_master(incoming)

    def _obey_the_master(self, incoming: Incoming) -> None:
        if isinstance(incoming.message, RemoveShuffle):
            self.reading.tables.forget(incoming.message.shuffle_id)

        def answer(result: Any, error: BaseException | None) -> None:
            if incoming.reply is None:
                self._must_not_fail(result, error)
            elif error is None:
                incoming.reply(result)
            else:
                incoming.reply.error(error)

        self._do(self.blocks.obey(incoming.message), answer)

    # --- tasks ---

    def _launch(self, order: c.LaunchTasks) -> None:
        if order.stage is not None:
            self.reading.tables.advance(order.stage.epoch)
            self._tasks.add_stage(order.stage_key, order.stage)
        self._tasks.add(order.stage_key, order.tasks)
        self._queue += [task.task_id for task in order.tasks]
        self._fill_cores()

    def _fill_cores(self) -> None:
        while self._queue and len(self.running) < self.cores and self.is_alive:
            task_id = self._queue.popleft()
            started = self._tasks.start(task_id)
            if started is not None:
                self._run(*started)
        self._end_if_idle()

    def _run(self, stage: c.StageDescription, task: c.TaskDescription) -> None:
        self.running[task.task_id] = None
        began = self._world.clock.now

        def ended(output: TaskOutput, error: BaseException | None) -> None:
            if self.is_alive:
                self._ended(stage, task, output, error, self._world.clock.now - began)

        steps = self._do(self._task(stage, task), ended)
        if task.task_id in self.running:
            self.running[task.task_id] = steps

    def _task(self, stage: c.StageDescription, task: c.TaskDescription) -> Doing[TaskOutput]:
        rdd_id, shuffle_id = pickle.loads(stage.binary)  # type: ignore[arg-type]
        rdd: SimulatedRDD = self._world.rdds.by_id[rdd_id]
        self.trace("runs", (task.task_id, f"stage {stage.stage_id}.{stage.attempt}", task.partition_index))
        yield Work(self._faults.task_time())
        if stage.barrier:
            together = len(stage.barrier)
            assert together == rdd.getNumPartitions(), f"{together} of {rdd.getNumPartitions()} tasks meet at a barrier"
            yield from self._meet(task)
        if self._faults.happens("die in a task"):
            self.die(None, 9)
        if self._faults.happens("stop in a task"):
            self.stop_for(self._faults.between(0.1, 20.0))
            yield 0.0
        records = yield from self.reading.records(rdd, task.partition_index)
        if shuffle_id is not None:
            partitions = self._world.rdds.readers[shuffle_id].getNumPartitions()
            return MapOutput((yield from self.reading.write(shuffle_id, partitions, task.task_id, records)))
        if rdd_id % 3:
            return Inline(pickle.dumps(records))
        location = yield from self.blocks.put_shared(TaskResultBlockId(task.task_id), records)
        return InBlock(location)

    def _meet(self, task: c.TaskDescription) -> Doing[None]:
        """Wait at a barrier."""
        call_id, answer = next(self._call_ids), Future[Any]()
        self._calls[call_id] = task.task_id, answer
        self._tell(c.BarrierCall(task.task_id, call_id, "barrier", ""))
        try:
            yield answer
        finally:
            del self._calls[call_id]

    def _released(self, order: c.BarrierRelease) -> None:
        _, answer = self._calls.get(order.call_id, (0, None))
        if answer is not None and not answer.done():
            if order.error is None:
                answer.set_result(None)
            else:
                answer.set_exception(SparkException(order.error))

    def _kill(self, order: c.KillTask) -> None:
        if self._tasks.give_up(order.task_id):
            self._tell(c.TaskKilled(order.task_id, order.reason))
            return
        steps = self.running.get(order.task_id)
        if steps is None:
            return
        self._kills[order.task_id] = order.reason
        killed = TaskKilledError(order.reason)
        delay = HELD_OUT if self._faults.happens("hold out against a kill") else 0.0
        self._later(delay, lambda: steps.interrupt(killed))
        for task_id, answer in list(self._calls.values()):
            if task_id == order.task_id and not answer.done():
                answer.set_exception(killed)

    def _ended(
        self,
        stage: c.StageDescription,
        task: c.TaskDescription,
        output: TaskOutput,
        error: BaseException | None,
        run_time: float,
    ) -> None:
        del self.running[task.task_id]
        reason = self._kills.pop(task.task_id, None)
        if isinstance(error, DRIVER_GONE):
            raise error
        if error is None:
            self._succeeded(c.TaskResult(task.task_id, output, pickle.dumps((stage.stage_id, task[1])), run_time))
        elif reason is not None and isinstance(error, TaskKilledError):
            self._tell(c.TaskKilled(task.task_id, reason))
        elif isinstance(error, FetchFailedError):
            where = error.shuffle_id, error.missed
            self._tell(c.TaskFailed(task.task_id, None, "fetch", str(error), where))
        elif isinstance(error, AssertionError):
            raise error
        else:
            self._tell(c.TaskFailed(task.task_id, None, "exception", repr(error)))
        self._fill_cores()

    def _succeeded(self, result: c.TaskResult) -> None:
        if self._faults.happens("die before a put is told"):
            self.die(None, 9)
        elif self._batch.add(result, more_queued=self._tasks.has_tasks):
            self._later(FLUSH_DELAY, self._flush)
        else:
            self._flush()
