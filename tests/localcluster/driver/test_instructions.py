"""What the driver sends for the scheduler's instructions, and the deadline of kills."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

from localcluster.driver.instructions import Instructions
from localcluster.scheduler.barrier_attempt import BarrierAnswer, BarrierAttempt
from localcluster.scheduler.instruction import Discard, DropStage, Kill, OutputReady, Recall
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.stage import Stage
from localcluster.scheduler.task_assignment import Launch
from localcluster.scheduler.task_set import TaskSet
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from protocol import cluster_messages as c
from protocol.block_messages import RemoveBlock
from protocol.cluster_messages import TaskDescription
from protocol.errors import BrokenChannelError, FrameTooLargeError
from protocol.locations import DRIVER, BlockManagerId, ShmLocation
from storage.block_id import ShuffleDataBlockId, ShuffleIndexBlockId, TaskResultBlockId

TIMEOUT = 10.0  # seconds


class Desk:
    """Stands for the executor pool, the block master and its endpoint, and keeps what they are told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.killed: list[tuple[str, str]] = []
        self.received: list[tuple[str, Any]] = []
        self.registered: list[Any] = []
        self.dead: set[str] = set()
        self.largest = 1 << 20  # bytes of a message
        self.endpoint = self
        self.instructions = Instructions(self, self, MapOutputTracker(), SortShuffleManager, TIMEOUT)  # type: ignore[arg-type]

    def send(self, executor_id: str, order: Any) -> None:
        if executor_id in self.dead:
            raise BrokenChannelError("gone")
        if len(pickle.dumps(order)) > self.largest:
            raise FrameTooLargeError(f"it does not fit {self.largest} bytes")
        self.sent.append((executor_id, order))

    def kill(self, executor_id: str, reason: str) -> None:
        self.killed.append((executor_id, reason))

    def receive(self, sender: str, message: Any) -> None:
        self.received.append((sender, message))

    def block_manager_id(self, executor_id: str) -> BlockManagerId:
        return BlockManagerId(executor_id, 1)

    def register_shared(self, *entry: Any) -> None:
        self.registered.append(entry)

    def expire_after(self, seconds: float) -> None:
        self.instructions.expire_kills(time.monotonic() + seconds)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_orders_about_stages_and_queues_are_passed_on(desk: Desk) -> None:
    desk.instructions.carry_out([DropStage("1", 7), Recall("2", (3, 4))])
    assert desk.sent == [("1", c.DropStage(7)), ("2", c.ReturnTasks((3, 4)))]


def launch_of(barrier: BarrierAttempt | None, executors: list[str]) -> Launch:
    """The first launch of a stage at executor 0, of tasks at these executors; no job needs the stage any more."""
    stage = Stage(3, "", None, (), range(len(executors)), b"binary", None)  # type: ignore[arg-type]  # no inputs: not asked
    task_set = TaskSet(
        key=7,
        stage=stage,
        positions=range(len(executors)),
        preferred={},
        alive=executors,
        priority=(0, 0),
        pool="default",
        properties={"colour": "green"},
        max_failures=1,
        max_losses=1,
        created=0.0,
        barrier=barrier,
    )
    for position, executor_id in reversed(list(enumerate(executors))):
        task_set.take(executor_id, 0.0, 0.0)
        task_set.launched(100 + position, position, executor_id)
    return Launch("0", task_set, (TaskDescription(100, 0, 0, b"partition"),), True)


def test_a_stage_is_described_with_its_first_tasks_though_its_job_ended_in_the_same_step(desk: Desk) -> None:
    """As when a later partition cannot be pickled; the kill follows."""
    desk.instructions.carry_out([launch_of(None, ["0"]), Kill("0", 100, "unsendable")])
    (_, launched), (_, killed) = desk.sent
    assert launched.stage.properties == {"colour": "green"}
    assert launched.stage.barrier == ()
    assert killed == c.KillTask(100, "unsendable")


def launch_of_sizes(*sizes: int) -> Launch:
    tasks = tuple(TaskDescription(100 + index, index, 0, bytes(size)) for index, size in enumerate(sizes))
    return launch_of(None, ["0"] * len(sizes))._replace(tasks=tasks)


def test_tasks_that_are_too_large_together_are_sent_apart_the_first_with_the_stage(desk: Desk) -> None:
    desk.largest = 10_000
    assert desk.instructions.carry_out([launch_of_sizes(4000, 4000, 4000, 9000, 1, 1)]) == []
    orders = [order for _, order in desk.sent]
    assert [task.task_id for order in orders for task in order.tasks] == [100, 101, 102, 103, 104, 105]
    assert [order.stage is not None for order in orders] == [True] + [False] * (len(orders) - 1)


@pytest.mark.parametrize("sizes", [(11_000,), (1, 1, 11_000, 1), (11_000, 1, 1)])
def test_a_task_that_is_too_large_is_a_failure_which_ends_its_stage(desk: Desk, sizes: tuple[int, ...]) -> None:
    desk.largest = 10_000
    failed = desk.instructions.carry_out([launch_of_sizes(*sizes)])
    sent = {task.task_id for _, order in desk.sent for task in order.tasks}
    assert {failure.task_id for _, failure in failed} | sent == set(range(100, 100 + len(sizes)))
    for executor_id, failure in failed:
        assert (executor_id, failure.kind) == ("0", "fatal")
        assert failure.task_id not in sent
        assert failure.text.startswith("Serialized task 3:")
        assert "does not fit 10000 bytes" in failure.text


def test_tasks_of_a_barrier_stage_are_told_where_all_of_them_are(desk: Desk) -> None:
    desk.instructions.carry_out([launch_of(BarrierAttempt("stage", 3, 1.0), ["0", "2", "0"])])
    ((_, launched),) = desk.sent
    assert launched.stage.barrier == ("127.0.0.1:0", "127.0.0.1:2", "127.0.0.1:0")


def test_who_waits_at_a_barrier_is_told_of_its_end(desk: Desk) -> None:
    release = c.BarrierRelease(5, 0, ("a",), None)
    desk.instructions.carry_out([BarrierAnswer("1", release)])
    assert desk.sent == [("1", release)]


def test_a_task_that_does_not_end_when_killed_takes_its_executor_with_it_once(desk: Desk) -> None:
    desk.instructions.carry_out([Kill("1", 5, "cancelled")])
    assert desk.sent == [("1", c.KillTask(5, "cancelled"))]
    desk.expire_after(0)
    assert desk.killed == []
    desk.expire_after(TIMEOUT + 1)
    desk.expire_after(TIMEOUT + 1)
    assert desk.killed == [("1", "task 5 did not end within 10.0 s of being killed")]


def test_a_task_that_ended_in_time_does_its_executor_no_harm(desk: Desk) -> None:
    desk.instructions.carry_out([Kill("1", 5, "cancelled"), Kill("2", 6, "cancelled")])
    desk.instructions.task_ended(5)
    desk.instructions.task_ended(99)
    desk.expire_after(TIMEOUT + 1)
    assert [executor_id for executor_id, _ in desk.killed] == ["2"]


def test_kills_at_an_executor_that_was_lost_are_over(desk: Desk) -> None:
    desk.instructions.carry_out([Kill("1", 5, "cancelled"), Kill("2", 6, "cancelled")])
    desk.instructions.executor_lost("1")
    desk.expire_after(TIMEOUT + 1)
    assert [executor_id for executor_id, _ in desk.killed] == ["2"]


def test_an_executor_that_is_gone_does_not_keep_the_others_from_their_orders(desk: Desk) -> None:
    desk.dead.add("1")
    desk.instructions.carry_out([Recall("1", (1,)), Recall("2", (2,))])
    assert desk.sent == [("2", c.ReturnTasks((2,)))]


def test_map_outputs_are_made_known_to_the_master(desk: Desk) -> None:
    data, index = ShmLocation("s", 0, 64), ShmLocation("s", 64, 16)
    desk.instructions.carry_out([OutputReady(3, 0, MapStatus("1", 8, (data, index)))])
    holder = BlockManagerId("1", 1)
    assert desk.registered == [
        (ShuffleDataBlockId(3, 8, 0), holder, data),
        (ShuffleIndexBlockId(3, 8, 0), holder, index),
    ]


def test_what_nobody_waits_for_is_removed_where_it_is_known(desk: Desk) -> None:
    location = ShmLocation("s", 0, 64)
    desk.instructions.carry_out([Discard("1", 8, None, (location,)), Discard("1", 9, 3, (location, location))])
    assert desk.received == [(DRIVER, RemoveBlock(TaskResultBlockId(8)))]
    assert [order.block_id.name for _, order in desk.sent] == ["shuffle_3_9_0.data", "shuffle_3_9_0.index"]
