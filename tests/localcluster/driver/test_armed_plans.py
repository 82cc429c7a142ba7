"""Plans that are armed, as the driver has them: what they did, by their books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.driver.armed_plans import ArmedPlans
from localcluster.faults.grammar import parse
from localcluster.faults.ledger import Ledger
from protocol.events import Event
from storage.scratch import Scratch

RULES = "kill stage=1 nth=2; hang; exit at=registration"


class Bed:
    """A driver with one plan, and its books as executors have them open."""

    def __init__(self, directory: Path) -> None:
        self.events: list[Event] = []
        self.scratch = Scratch.create(parent=str(directory))
        self.plans = ArmedPlans({}, lambda order: None, self.events.append)
        self.plans.start(self.scratch)
        self.number = self.plans.arm(RULES, 0)
        self._books = Ledger.open(f"{self.scratch.primary}/faults-{self.number}", parse(RULES))

    def fire(self, rule: int, executor_id: str) -> None:
        self._books.count(rule, lambda events, firings: True, executor_id, "task.start")

    def close(self) -> None:
        self._books.close()
        self.plans.stop()
        self.scratch.remove()


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    bed = Bed(tmp_path)
    yield bed
    bed.close()


def test_the_rule_that_ended_an_executor_is_known_before_any_round(bed: Bed) -> None:
    bed.fire(0, "1")
    bed.fire(2, "2")
    assert bed.plans.ended("1") == "kill stage=1 nth=2"
    assert bed.plans.ended("2") == "exit at=registration"
    assert [type(event).__name__ for event in bed.events] == ["FaultFired"] * 2


def test_who_lives_on_after_a_fault_was_not_ended_by_it(bed: Bed) -> None:
    bed.fire(1, "1")
    assert bed.plans.ended("1") is None
    assert bed.plans.ended("2") is None


def test_a_plan_that_is_over_has_ended_whom_it_ended(bed: Bed) -> None:
    bed.fire(0, "1")
    bed.plans.disarm(bed.number)
    assert bed.plans.ended("1") == "kill stage=1 nth=2"
