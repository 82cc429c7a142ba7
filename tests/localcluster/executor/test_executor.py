"""`Executor` in threads of this process: orders in and reports out on pipes, tasks that the test lets go."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.executor import executor as executor_module
from localcluster.executor.executor import Executor
from localcluster.faults.process_faults import ProcessFaults
from localcluster.task.env import set_env
from protocol import block_messages as m
from protocol import cluster_messages as c
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.errors import ChannelError, EndOfChannel, NoHandlerError, RemoteAskError
from protocol.message import Order
from protocol.task_output import Inline
from storage.block_id import StreamBlockId
from storage.scratch import Scratch
from storage.storage_level import StorageLevel
from tests.protocol.test_messages import MESSAGES
from tests.support import DEADLINE, InThread

STAGE = c.StageDescription(3, 0, b"", {}, epoch=0)
BLOCK = StreamBlockId(0, 1)
ANSWERS: dict[type[Any], Any] = {m.UpdateBlockInfo: m.UpdateReply(True), m.ReserveSegment: True}


class Driver:
    """The far ends of the executor's pipes. A thread answers what is asked; ``told`` is the rest."""

    def __init__(self, orders: Endpoint, reports: Endpoint) -> None:
        self.orders = orders
        self.asked: list[Any] = []
        self.told: SimpleQueue[Any] = SimpleQueue()
        self.end: SimpleQueue[ChannelError] = SimpleQueue()
        self._reports = reports
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while True:
                message, reply = self._reports.receive()
                if reply is None:
                    self.told.put(message)
                else:
                    self.asked.append(message)
                    reply(ANSWERS.get(type(message)))
        except ChannelError as end:
            self.end.put(end)

    def hear(self) -> Any:
        return self.told.get(timeout=DEADLINE)

    def ask(self, order: Order) -> Any:
        return self.orders.ask(order, DEADLINE)

    def close(self) -> None:
        self.orders.abort()
        self._reports.abort()
        self._thread.join(DEADLINE)


class Bed:
    """An executor, its driver, and what its tasks do: those without an entry in ``tasks`` succeed."""

    def __init__(self, scratch: Scratch, cores: int) -> None:
        (orders, far_orders), (reports, far_reports) = Pipe(), Pipe()
        self.ends = Endpoint(Channel(orders)), Endpoint(Channel(reports))
        self.driver = Driver(Endpoint(Channel(far_orders)), Endpoint(Channel(far_reports)))
        self.tasks: dict[int, Callable[[], object]] = {}  # {task id: what it does}
        self.executor = Executor(
            c.LaunchExecutor("7", cores, {}, ()), *self.ends, scratch, ProcessFaults("executor", "7", "")
        )
        self.executor.start()
        self.running = InThread(self.executor.run)

    def run_task(self, env: Any, stage: Any, task: c.TaskDescription, *_: Any) -> c.TaskResult:
        self.tasks.get(task.task_id, lambda: None)()
        return c.TaskResult(task.task_id, Inline(b""), None, 0.0)

    def launch(self, *task_ids: int) -> None:
        tasks = tuple(c.TaskDescription(task_id, 0, 0, b"") for task_id in task_ids)
        self.driver.orders.tell(c.LaunchTasks(1, STAGE, tasks))

    def finished(self, count: int) -> list[int]:
        """Ids of the next tasks that succeed."""
        ids: list[int] = []
        while len(ids) < count:
            ids += [result.task_id for result in self.driver.hear().results]
        return ids

    def stop(self, keep_blocks: bool = False) -> None:
        orders = [c.StopExecutor()] if keep_blocks else [m.StopBlockManager(), c.StopExecutor()]
        self.driver.orders.tell(*orders)
        assert self.running.outcome() == 0


class Gate:
    """A task that has begun and waits to be let go."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.began.set()
        assert self.go.wait(DEADLINE)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> SimpleQueue[int]:
    """Codes with which the process would have ended. Who ended it goes on, which here nobody minds."""
    codes: SimpleQueue[int] = SimpleQueue()
    monkeypatch.setattr(os, "_exit", codes.put)
    return codes


@pytest.fixture
def make_bed(tmp_path: Path, exits: SimpleQueue[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bed]]:
    scratch, made = Scratch.create((str(tmp_path),)), []
    handler = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr(executor_module, "run_exit_handlers", lambda: None)  # those of pytest

    def make(cores: int = 1) -> Bed:
        bed = Bed(scratch, cores)
        made.append(bed)
        monkeypatch.setattr(executor_module, "run_task", bed.run_task)
        return bed

    yield make
    for bed in made:
        if bed.running.is_alive():
            bed.stop()
        bed.driver.close()
        assert exits.get(timeout=DEADLINE) == 1  # the thread that takes orders, which outlives all others
        for end in bed.ends:
            end.abort()
    set_env(None)
    signal.signal(signal.SIGUSR1, handler)
    scratch.remove()


@pytest.fixture
def bed(make_bed: Callable[..., Bed]) -> Bed:
    bed = make_bed()
    assert bed.driver.hear() == c.RegisterExecutor("7", os.getpid(), 1)
    return bed


def test_each_order_but_the_launchers_has_a_handler(bed: Bed) -> None:
    others = {c.StartCluster, c.StopCluster, c.LaunchExecutor, c.KillExecutor, c.StageDescription}  # a part of one
    assert set(bed.executor._handlers) == {each for each in MESSAGES if issubclass(each, Order)} - others


def test_the_block_manager_is_registered_before_the_executor(bed: Bed) -> None:
    (register,) = bed.driver.asked
    assert register.block_manager_id.executor_id == "7"


def test_tasks_run_in_the_order_in_which_they_came(bed: Bed) -> None:
    ran: list[int] = []
    for task_id in range(5):
        bed.tasks[task_id] = lambda task_id=task_id: ran.append(task_id)  # type: ignore[misc]
    bed.launch(0, 1, 2)
    bed.launch(3, 4)
    assert bed.finished(5) == ran == [0, 1, 2, 3, 4]


def test_a_failure_is_told_behind_what_succeeded_before_it_and_the_next_task_runs(bed: Bed) -> None:
    bed.tasks[1] = lambda: 1 // 0
    bed.launch(0, 1, 2)
    assert bed.finished(1) == [0]
    failure = bed.driver.hear()
    assert (failure.task_id, failure.kind) == (1, "exception")
    assert "ZeroDivisionError" in failure.text
    assert bed.finished(1) == [2]


def test_what_is_not_started_is_given_back_and_what_runs_is_not(bed: Bed) -> None:
    bed.tasks[0] = gate = Gate()
    bed.launch(0, 1, 2, 3)
    assert gate.began.wait(DEADLINE)
    bed.driver.orders.tell(c.ReturnTasks((0, 1, 3)))
    assert bed.driver.hear() == c.TasksReturned((1, 3))
    gate.go.set()
    assert bed.finished(2) == [0, 2]


def test_a_task_that_waits_in_the_queue_is_killed_there(bed: Bed) -> None:
    bed.tasks[0] = gate = Gate()
    bed.launch(0, 1)
    assert gate.began.wait(DEADLINE)
    bed.driver.orders.tell(c.KillTask(1, "enough"))
    assert bed.driver.hear() == c.TaskKilled(1, "enough")
    gate.go.set()
    assert bed.finished(1) == [0]


def test_further_cores_run_tasks_at_the_same_time(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(cores=3)
    assert bed.driver.hear().cores == 3
    together = threading.Barrier(3, timeout=DEADLINE)
    bed.tasks = dict.fromkeys(range(3), together.wait)
    bed.launch(0, 1, 2)
    assert sorted(bed.finished(3)) == [0, 1, 2]


def test_block_orders_are_answered_while_a_task_runs(bed: Bed) -> None:
    bed.tasks[0] = gate = Gate()
    bed.launch(0)
    assert gate.began.wait(DEADLINE)
    assert bed.driver.ask(m.RemoveBlock(BLOCK)) is False
    gate.go.set()
    assert bed.finished(1) == [0]


def test_an_order_that_is_none_of_an_executors_is_refused_by_name_and_the_next_is_obeyed(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RemoteAskError) as caught:
        bed.driver.ask(c.StopCluster())
    assert isinstance(caught.value.__cause__, NoHandlerError)
    assert "StopCluster is no message to executor 7" in str(caught.value)
    bed.driver.orders.tell(c.StopCluster())
    bed.launch(0)
    assert bed.finished(1) == [0]
    assert "StopCluster is no message to executor 7" in caplog.text


def test_a_barrier_task_is_let_go_by_the_answer_to_its_call(bed: Bed) -> None:
    messages: list[Any] = []

    def meet() -> None:
        messages.extend(bed.executor._barriers.call(0, "allGather", "mine"))

    bed.tasks[0] = meet
    bed.launch(0)
    call = bed.driver.hear()
    assert (call.task_id, call.function, call.message) == (0, "allGather", "mine")
    bed.driver.orders.tell(c.BarrierRelease(0, call.call_id, ("mine", "yours"), None))
    assert bed.finished(1) == [0]
    assert messages == ["mine", "yours"]


@pytest.mark.parametrize("keep_blocks", [False, True])
def test_the_stop_ends_what_was_queued_before_it_and_removes_blocks_unless_they_are_to_stay(
    bed: Bed, keep_blocks: bool
) -> None:
    bed.executor._env.block_manager.put_single(BLOCK, b"value", StorageLevel.DISK_ONLY)
    location = next(update for update in bed.driver.asked if isinstance(update, m.UpdateBlockInfo)).location
    assert location is not None
    bed.launch(0, 1)
    bed.stop(keep_blocks)
    assert bed.finished(2) == [0, 1]
    assert isinstance(bed.driver.end.get(timeout=DEADLINE), EndOfChannel), "a goodbye"
    assert os.path.exists(location.path) is keep_blocks  # type: ignore[union-attr]


def test_without_a_driver_the_process_ends(bed: Bed, exits: SimpleQueue[int]) -> None:
    bed.driver.orders.abort()
    assert exits.get(timeout=DEADLINE) == 1
    exits.put(1)  # that the end of the test looks for
    bed.executor._stop()  # which nobody can order any more
    bed.running.join(DEADLINE)


def test_a_task_that_cannot_report_ends_the_process(bed: Bed, exits: SimpleQueue[int]) -> None:
    def no_driver() -> None:
        raise EndOfChannel("gone")

    bed.tasks[0] = no_driver
    bed.launch(0)
    assert exits.get(timeout=DEADLINE) == 1
