"""What is logged of messages at level TRACE."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from protocol import cluster_messages as c
from protocol import trace
from protocol.block_messages import RemoveBroadcast
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.locations import ShmLocation
from tests.protocol.support import LONG, wait_readable


@pytest.fixture
def ends() -> Iterator[tuple[Endpoint, Endpoint]]:
    ours, theirs = socket.socketpair()
    asks, answers = Endpoint(Channel(ours, name="orders of executor 1")), Endpoint(Channel(theirs, name="orders"))
    yield asks, answers
    trace.switch(False)
    asks.abort()
    answers.abort()


def exchange(asks: Endpoint, answers: Endpoint) -> None:
    asks.tell(c.DropStage(3), c.StopCluster())
    for _ in range(2):
        answers.receive(LONG)
    future = asks.ask_async(RemoveBroadcast(7), LONG)
    reply = answers.receive(LONG).reply
    assert reply is not None
    reply(2)
    wait_readable(asks)
    asks.receive_ready()
    assert future.result() == 2


def test_each_message_is_one_line_on_either_side(
    ends: tuple[Endpoint, Endpoint], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(trace.TRACE, "protocol.trace"):
        trace.switch(True)
        exchange(*ends)
    assert {record.levelname for record in caplog.records} == {"TRACE"}
    assert caplog.messages == [
        "sent TELL (orders of executor 1): DropStage(stage_key=3)",
        "sent TELL (orders of executor 1): StopCluster()",
        "received TELL (orders): DropStage(stage_key=3)",
        "received TELL (orders): StopCluster()",
        "sent ASK 1 (orders of executor 1): RemoveBroadcast(broadcast_id=7, remove_from_driver=True)",
        "received ASK 1 (orders): RemoveBroadcast(broadcast_id=7, remove_from_driver=True)",
        "sent REPLY 1 (orders): 2",
        "received REPLY 1 (orders of executor 1): 2",
    ]


def test_nothing_is_logged_once_it_is_off(ends: tuple[Endpoint, Endpoint], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(trace.TRACE, "protocol.trace"):
        trace.switch(True)
        trace.switch(False)
        exchange(*ends)
    assert caplog.messages == []
    assert ends[0].hook is None


def test_an_endpoint_with_a_hook_of_its_own_keeps_it(
    ends: tuple[Endpoint, Endpoint], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []
    ends[0].hook = lambda passing: seen.append(passing.message)
    with caplog.at_level(trace.TRACE, "protocol.trace"):
        trace.switch(True)
        ends[0].tell(c.DropStage(3))
    assert (seen, caplog.messages) == ([c.DropStage(3)], [])


class OfTheUser:
    def __repr__(self) -> str:
        raise AssertionError("asked for its text")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"x" * 70000, "<70000 bytes>"),
        ({"spark.password": "secret"}, "<dict>"),
        (OfTheUser(), "<OfTheUser>"),
        (type("Text", (str,), {})("text"), "<Text>"),
        ("x" * 100, f"'{'x' * 80}…'"),
        ((1, None, True, 2.5), "tuple(1, None, True, 2.5)"),
        (list(range(10)), "list(0, 1, 2, 3, 4, 5, …)"),
        ([[[[[]]]]], "list(list(list(list(list()))))"),
        ([[[[[1]]]]], "list(list(list(list(list(…)))))"),
        (ShmLocation("/dev/shm/x", 0, 64), "ShmLocation(segment='/dev/shm/x', offset=0, length=64)"),
        (
            c.LaunchTasks(2, None, (c.TaskDescription(5, 0, 1, b"partition"),)),
            "LaunchTasks(stage_key=2, stage=None, tasks=tuple("
            "TaskDescription(task_id=5, partition_index=0, attempt=1, partition=<9 bytes>)))",
        ),
    ],
)
def test_values_are_shown_short_and_without_payloads_and_secrets(value: object, text: str) -> None:
    assert trace.shown(value) == text
