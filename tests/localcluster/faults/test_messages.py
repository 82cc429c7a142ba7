"""Each message of both protocols, told or asked: lost, doubled, delayed, swapped or garbled by a plan, on a real pipe.

What holds for each: no message is delivered twice or before one that was sent before it; what was lost or garbled
breaks the channel at both ends within seconds, so that nobody waits for it; and whatever else happens goes unnoticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster import faults
from localcluster.faults import messages
from localcluster.faults.firing import Firing
from localcluster.faults.injector import Injector
from protocol import cache_messages, inbound, outbound, sites, trace
from protocol.block_messages import GetLocations, GetPeers, TakeUses
from protocol.channel import Channel
from protocol.cluster_messages import DropStage, ExecutorExited, KillTask, LaunchExecutor
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import ChannelError, FrameError
from protocol.events import FaultFired
from tests.protocol.test_messages import MESSAGES, sample
from tests.support import DEADLINE, InThread

OF_RUNS = [message for message in MESSAGES if message.__module__ != cache_messages.__name__]
KINDS = pytest.mark.parametrize("kind", OF_RUNS, ids=lambda kind: kind.__name__)
BEFORE, AFTER = "before", "after"  # no messages, so that no rule is about them


class Wire:
    """The driver's orders to executor 3, and the executor's end. Both ends are here, and so armed."""

    def __init__(self, directory: Path) -> None:
        ours, theirs = Pipe()
        self.driver = Endpoint(Channel(ours, name="orders of executor 3", buffered=True))
        self.executor = Endpoint(Channel(theirs, name="orders"))
        self._injector = Injector("driver", "driver", str(directory))
        self._numbers = 0

    def arm(self, plan: str) -> Callable[[], list[FaultFired]]:
        """What has fired since it was last called."""
        ledger = self._injector.start(self._numbers, faults.plan(plan))
        self._numbers += 1
        return ledger.new_firings

    def close(self) -> None:
        self._injector.disarm_all()
        self.driver.abort()
        self.executor.abort()

    def keep_time(self, now: float = 1e6) -> None:
        """The rounds of the driver's loop, long after."""
        self.driver.expire(now)

    def received(self, number: int) -> list[Any]:
        return [self.executor.receive(DEADLINE).message for _ in range(number)]

    def answer(self, value: Any) -> ChannelError:
        """Serve asks, as an event loop does, until the channel breaks."""
        while True:
            try:
                self.executor.expire(time.monotonic())
                for _, reply in self.executor.receive_ready():
                    if reply is not None:
                        reply(value)
            except ChannelError as error:
                return error


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(inbound, "GAP_PATIENCE", 0.05)
    monkeypatch.setattr(outbound, "ANNOUNCE_INTERVAL", 0.02)
    wire = Wire(tmp_path)
    yield wire
    wire.close()
    assert sites.armed is None
    assert Endpoint.hook is None


@KINDS
@pytest.mark.parametrize("action", ["duplicate", "reorder", "delay seconds=10"])
def test_what_loses_no_message_is_not_noticed(wire: Wire, kind: Any, action: str) -> None:
    fired, message = wire.arm(f"{action} message={kind.__name__}"), sample(kind)
    wire.driver.tell(BEFORE)
    wire.driver.tell(message, AFTER)  # in one frame, if nothing happens
    wire.driver.tell(message)
    wire.keep_time()
    assert wire.received(4) == [BEFORE, message, AFTER, message]
    assert wire.executor.channel.receive_ready() == []
    ((at, rule, process, where),) = [(e.at, e.fault, e.process, e.where) for e in fired()]
    assert (at > 0, process) == (True, "driver")
    assert action.split()[0] in rule
    assert kind.__name__ in where


@KINDS
@pytest.mark.parametrize("action", ["drop", "garble"])
@pytest.mark.parametrize("is_last", [False, True])
def test_what_loses_a_message_breaks_the_channel_behind_those_before(
    wire: Wire, kind: Any, action: str, is_last: bool
) -> None:
    wire.arm(f"{action} message={kind.__name__}")
    wire.driver.tell(BEFORE)
    wire.driver.tell(sample(kind), *([] if is_last else [AFTER]))
    wire.keep_time()
    assert wire.received(1) == [BEFORE]
    for _ in range(2):
        with pytest.raises(FrameError, match=r"lost|garbled|version"):
            wire.executor.receive(DEADLINE)
    with pytest.raises(FrameError, match=r"the peer gave up: .*(lost|garbled|version)"):
        wire.driver.receive(DEADLINE)


@KINDS
@pytest.mark.parametrize("action", ["drop", "garble"])
@pytest.mark.parametrize("lost", ["", ".answer"])
def test_an_ask_ends_long_before_its_deadline(wire: Wire, kind: Any, action: str, lost: str) -> None:
    """Asked as an executor asks: nobody else keeps its time."""
    wire.arm(f"{action} message={kind.__name__}{lost}")
    server = InThread(lambda: wire.answer("answer"))
    with pytest.raises(FrameError, match=r"lost|garbled|version"):
        wire.driver.ask(sample(kind), 1000 * DEADLINE)
    assert isinstance(server.outcome(), FrameError)


@KINDS
@pytest.mark.parametrize("action", ["duplicate", "reorder", "delay seconds=0.1"])
@pytest.mark.parametrize("what", ["", ".answer"])
def test_an_ask_has_its_one_answer(wire: Wire, kind: Any, action: str, what: str) -> None:
    fired = wire.arm(f"{action} message={kind.__name__}{what}")
    served = []

    def serve() -> None:
        while len(served) < 2:
            wire.executor.expire(time.monotonic())
            for incoming in wire.executor.receive_ready():
                assert incoming.reply is not None
                served.append(incoming.message)
                incoming.reply(len(served))

    server = InThread(serve)
    first = InThread(lambda: wire.driver.ask(sample(kind), DEADLINE))
    assert first.outcome() == 1
    assert wire.driver.ask(sample(kind), DEADLINE) == 2
    assert server.outcome() is None
    assert len(fired()) == 1


@pytest.mark.parametrize(
    ("where", "message", "fires"),
    [
        ("executor=3", DropStage(1), True),
        ("executor=4", DropStage(1), False),
        ("executor=3 role=driver", DropStage(1), True),
        ("role=driver", DropStage(1), True),
        ("role=launcher", DropStage(1), False),
        ("message=KillTask", DropStage(1), False),
        ("message=KillTask", KillTask(1, ""), True),
        ("nth=2", DropStage(1), False),
    ],
)
def test_a_rule_chooses_its_messages(wire: Wire, where: str, message: Any, fires: bool) -> None:
    fired = wire.arm(f"duplicate {where}")
    wire.driver.tell(message)
    assert bool(fired()) == fires


@pytest.mark.parametrize(
    ("sender", "channel", "message", "executor"),
    [
        ("driver", "launcher", LaunchExecutor("5", 1, {}, ()), "5"),
        ("launcher", "control", ExecutorExited("5", 0, None), "5"),
        ("executor", "reports", GetPeers(sample(GetPeers).block_manager_id), "5"),
    ],
)
def test_which_executor_a_message_is_about(
    tmp_path: Path, sender: str, channel: str, message: Any, executor: str
) -> None:
    injector = Injector(sender, "5" if sender == "executor" else sender, str(tmp_path))
    ledger = injector.start(0, faults.plan("duplicate executor=5"))
    ours, theirs = (Endpoint(Channel(end, name=channel)) for end in Pipe())
    try:
        ours.tell(message)
        assert theirs.receive(DEADLINE) == Incoming(message)
        assert len(ledger.new_firings()) == 1
    finally:
        injector.disarm_all()
        ours.abort()
        theirs.abort()


def test_messages_are_counted_and_each_counts_once(wire: Wire) -> None:
    fired = wire.arm("reorder message=DropStage every=3")
    for number in range(9):
        wire.driver.tell(DropStage(number))
    wire.driver.tell(KillTask(1, ""))
    wire.keep_time()
    assert wire.received(9) == [DropStage(number) for number in range(9)]
    assert len(fired()) == 3


def test_what_is_delayed_comes_when_the_plan_is_over(wire: Wire) -> None:
    ledger = wire.arm("delay message=DropStage seconds=1000").__self__
    wire.driver.tell(DropStage(1))
    wire.driver.tell(KillTask(1, ""))
    ledger.end()
    wire.driver.expire(time.monotonic())
    assert wire.received(2) == [DropStage(1), KillTask(1, "")]


def test_which_byte_is_garbled_is_the_plans_choice(wire: Wire) -> None:
    rule = faults.plan("garble message=KillTask").rules[0]
    ledger = wire.arm("garble message=KillTask").__self__
    fates = [messages.ACTS["garble"](Firing(rule, {}, 1, chance, ledger)) for chance in (7, 7, 8)]
    assert fates[0] == fates[1] != fates[2]


def test_an_answer_is_named_by_what_it_answers(wire: Wire) -> None:
    fired = wire.arm("duplicate message=TakeUses.answer")
    asked = wire.driver.ask_async(TakeUses(), DEADLINE)
    other = wire.driver.ask_async(GetLocations(sample(GetLocations).block_id), DEADLINE)
    for incoming in [wire.executor.receive(DEADLINE) for _ in range(2)]:
        assert incoming.reply is not None
        incoming.reply(())
    while not (asked.done() and other.done()):
        wire.driver.receive_ready()
    assert [event.where for event in fired()] == ["message, message TakeUses.answer"]


def test_a_trace_goes_on_beside_a_plan(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(trace.TRACE, logger="protocol.trace"):
        trace.switch(True)
        try:
            wire.arm("duplicate message=DropStage")
            wire.driver.tell(DropStage(1))
            wire.driver.tell(DropStage(2))
            assert wire.received(2) == [DropStage(1), DropStage(2)]
        finally:
            trace.switch(False)
    assert [record.message.split()[0] for record in caplog.records] == ["sent", "sent", "received", "received"]
