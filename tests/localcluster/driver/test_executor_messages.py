"""Which part hears of what executors say, in which order, and when the scheduler may have something to send."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.driver.executor_messages import ExecutorMessages
from localcluster.shuffle.map_status import MapStatus
from protocol import block_messages as m
from protocol import cluster_messages as c
from protocol.endpoint import Incoming
from protocol.errors import NoHandlerError
from protocol.locations import BlockManagerId, FileLocation, HeapLocation
from protocol.task_output import InBlock, Inline, MapOutput
from storage.block_id import RDDBlockId, TaskResultBlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.storage_level import StorageLevel

HOLDER = BlockManagerId("1", 4001)
BLOCK = RDDBlockId(3, 0)
UPDATE = m.UpdateBlockInfo(HOLDER, BLOCK, StorageLevel.MEMORY_ONLY, 10, 0, 0, HeapLocation("1"))


class Part:
    """Notes what it is called for, in one list with the other parts."""

    def __init__(self, name: str, calls: list[tuple[Any, ...]], **answers: Any) -> None:
        self._name = name
        self._calls = calls
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self._calls.append((f"{self._name}.{name}", *arguments))
            return self._answers.get(name)

        return call


class Desk:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.tables: dict[int, list[MapStatus | None]] = {}
        shared = Part("endpoint", self.calls)
        messages = BlockManagerMasterEndpoint(0).messages
        master = Part("master", self.calls)
        master.endpoint = SimpleNamespace(messages=messages, register_shared=shared.register_shared)
        self.messages = ExecutorMessages(
            Part("dag", self.calls, block_stored=True),  # type: ignore[arg-type]
            Part("pool", self.calls, block_manager_id=HOLDER),  # type: ignore[arg-type]
            Part("instructions", self.calls),  # type: ignore[arg-type]
            master,  # type: ignore[arg-type]
            SimpleNamespace(table=lambda shuffle_id: self.tables[shuffle_id]),  # type: ignore[arg-type]
        )

    def receive(self, message: Any, reply: Any = None) -> bool:
        return bool(self.messages.receive("1", Incoming(message, reply)))

    @property
    def called(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_results_that_are_blocks_are_kept_before_the_scheduler_hears_of_them(desk: Desk) -> None:
    place = FileLocation("/f", 0, 9)
    outputs = (Inline(b"inline"), InBlock(place), MapOutput(()))
    results = tuple(c.TaskResult(task_id, output, None, 0.1) for task_id, output in enumerate(outputs, 4))
    assert desk.receive(c.TasksFinished(results))
    assert desk.calls[:3] == [("instructions.task_ended", task_id) for task_id in (4, 5, 6)]
    assert desk.calls[4] == ("endpoint.register_shared", TaskResultBlockId(5), HOLDER, place)
    assert desk.calls[5][:3] == ("dag.tasks_finished", "1", results)
    assert len(desk.calls) == 6


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (c.TaskFailed(4, None, "exception", "text"), ["instructions.task_ended", "dag.task_failed"]),
        (c.TaskKilled(4, "reason"), ["instructions.task_ended", "dag.task_given_back"]),
        (c.TasksReturned((4, 5)), ["dag.task_given_back"]),
        (c.BarrierCall(4, 0, "barrier", ""), ["dag.barrier_called"]),
        (c.RegisterExecutor("1", 4001, 2), ["dag.executor_added", "pool.registered"]),
    ],
)
def test_what_concerns_tasks_gives_the_scheduler_a_turn(desk: Desk, message: Any, expected: list[str]) -> None:
    assert desk.receive(message)
    assert desk.called == expected


def test_an_executor_that_cannot_start_is_the_pools_affair(desk: Desk) -> None:
    message = c.LaunchFailed("1", "no thread")
    assert not desk.receive(message)
    assert desk.calls == [("pool.launch_failed", message)]


def test_outputs_that_vanished_with_the_one_that_could_not_be_read_are_lost_too(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(9))
    there, gone = (FileLocation(str(tmp_path / name), 0, 9) for name in ("there", "gone"))
    desk.tables[2] = [MapStatus("1", 0, (there, None)), None, MapStatus("1", 2, (there, gone))]
    assert desk.receive(c.TaskFailed(4, None, "fetch", "text", fetch=(2, {0: 7})))
    assert desk.calls[1] == ("dag.output_lost", 2, 2)
    assert desk.called == ["instructions.task_ended", "dag.output_lost", "dag.task_failed"]


def test_block_messages_go_to_the_block_master_with_their_reply(desk: Desk) -> None:
    reply, message = object(), m.GetLocations(BLOCK)
    assert not desk.receive(message, reply)
    assert desk.calls == [("master.serve", "1", message, reply)]


def test_a_block_that_is_stored_may_give_the_scheduler_a_turn(desk: Desk) -> None:
    assert desk.receive(UPDATE)
    assert desk.called == ["master.serve", "dag.block_stored"]
    dropped = m.UpdateBlockInfo(HOLDER, BLOCK, StorageLevel.NONE, 0, 0, 0, None)
    assert not desk.receive(dropped)
    assert desk.called == ["master.serve", "dag.block_stored", "master.serve"]


def test_a_part_registers_its_own_message(desk: Desk) -> None:
    heard: list[Any] = []
    desk.messages.register({c.GetMapOutputs: lambda *arguments: heard.append(arguments)})
    assert not desk.receive(c.GetMapOutputs(3), "reply")
    assert heard == [("1", c.GetMapOutputs(3), "reply")]
    with pytest.raises(ValueError, match="two handlers of the driver for GetMapOutputs"):
        desk.messages.register({c.GetMapOutputs: lambda *arguments: None})


def test_what_nobody_handles_is_an_error_that_names_it(desk: Desk) -> None:
    errors: list[BaseException] = []
    assert not desk.receive(c.StopExecutor(), SimpleNamespace(error=errors.append))
    (error,) = errors
    assert isinstance(error, NoHandlerError)
    assert "StopExecutor is no message to the driver" in str(error)
    assert desk.calls == []
