"""Parts register what they handle; what nobody or two would handle is an error that names the message."""

from __future__ import annotations

import logging
import socket

import pytest

from protocol.channel import Channel
from protocol.cluster_messages import DropStage, KillTask, StopExecutor
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import NoHandlerError, RemoteAskError
from protocol.message_table import MessageTable
from tests.protocol.support import LONG
from tests.support import InThread


@pytest.fixture
def table() -> MessageTable[str]:
    table: MessageTable[str] = MessageTable("executor 7")
    table.register({DropStage: "one part"})
    table.register({KillTask: "another part"})
    return table


def test_each_message_leads_to_the_part_that_registered_it(table: MessageTable[str]) -> None:
    assert [table.get(kind) for kind in (DropStage, KillTask, StopExecutor)] == ["one part", "another part", None]


def test_two_handlers_for_one_message_are_an_error_that_names_it(table: MessageTable[str]) -> None:
    with pytest.raises(ValueError, match="two handlers of executor 7 for KillTask"):
        table.register({StopExecutor: "third", KillTask: "third"})
    assert StopExecutor not in table


def test_who_asks_what_nobody_handles_gets_an_error_that_names_it(table: MessageTable[str]) -> None:
    asks, answers = (Endpoint(Channel(end)) for end in socket.socketpair())
    try:
        asker = InThread(lambda: asks.ask(StopExecutor(), LONG))
        table.refuse(answers.receive(LONG))
        error = asker.outcome()
    finally:
        asks.abort()
        answers.abort()
    assert isinstance(error, RemoteAskError)
    assert isinstance(error.__cause__, NoHandlerError)
    assert str(error.__cause__) == "StopExecutor is no message to executor 7"


def test_what_is_told_and_nobody_handles_is_in_the_log(
    table: MessageTable[str], caplog: pytest.LogCaptureFixture
) -> None:
    table.refuse(Incoming(StopExecutor()))
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.ERROR, "StopExecutor is no message to executor 7")
    ]
