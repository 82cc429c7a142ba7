"""Rules at sites: which events they are about, when they fire, what other processes and plans have to do with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import faults
from localcluster.faults import Plan, families
from localcluster.faults.firing import Firing
from localcluster.faults.injector import TICK, Injector
from localcluster.faults.ledger import Ledger
from localcluster.faults.unwatched import unwatched
from localcluster.faults.vocabulary import ACTIONS
from protocol import sites
from tests.support import wait_until

TASK = {"stage": 2, "stage_name": "reduceByKey at job.py:7", "partition": 0, "attempt": 0}


class Run:
    """Injectors of a run's processes, all in this one, whose actions are noted and not done."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self.fired: list[tuple[str, str, int]] = []  # (process, action, number)
        self.injectors: dict[str, Injector] = {}
        self.ledgers: list[Ledger] = []

    def note(self, firing: Firing) -> str:
        self.fired.append((firing.facts["executor"], firing.rule.what.action, firing.number))
        return f"answer to {firing.rule.what.action}"

    def process(self, name: str) -> Injector:
        if name not in self.injectors:
            role = name if name in ("driver", "launcher") else "executor"
            self.injectors[name] = Injector(role, name, self.directory)
        return self.injectors[name]

    def arm(self, plan: Plan | str, *names: str) -> int:
        plan = faults.plan(plan) if isinstance(plan, str) else plan
        number = len(self.ledgers)
        self.ledgers.append(self.process(names[0]).start(number, plan))
        for name in names[1:]:
            self.process(name).arm(number, plan)
        return number

    def task(self, name: str, site: str = "task.start", **facts: Any) -> Any:
        return self.process(name)(site, **{**TASK, **facts})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    run = Run(tmp_path)
    monkeypatch.setattr("localcluster.faults.injector.acts", lambda: dict.fromkeys(ACTIONS, run.note))
    yield run
    for injector in run.injectors.values():
        injector.disarm_all()
    assert sites.armed is None


def test_a_rule_fires_once_at_the_first_event_that_it_is_about(run: Run) -> None:
    run.arm("kill stage=2 partition=3", "0")
    assert run.task("0", partition=2) is None
    assert run.task("0", partition=3) == "answer to kill"
    assert run.task("0", partition=3, attempt=1) is None
    assert run.fired == [("0", "kill", 1)]


@pytest.mark.parametrize(
    ("rule", "fires_at"),
    [
        ("kill nth=3", [3]),
        ("kill nth=3 times=2", [3, 4]),
        ("kill nth=3 times=*", [3, 4, 5, 6, 7, 8]),
        ("kill every=3", [3, 6]),
        ("kill every=3 times=1", [3]),
        ("kill times=2", [1, 2]),
        ("slow seconds=1", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("slow seconds=1 nth=2", [2]),
    ],
)
def test_triggers_count_events(run: Run, rule: str, fires_at: list[int]) -> None:
    run.arm(rule, "0")
    for partition in range(8):
        run.task("0", partition=partition)
    assert [number for _, _, number in run.fired] == fires_at


def test_after_tasks_counts_those_that_have_reported(run: Run) -> None:
    run.arm("kill after_tasks=2", "0")
    for site in ("task.start", "task.end", "task.report", "task.reported"):
        for _ in range(2):
            assert run.fired == []
            run.task("0", site)
    assert run.fired == [("0", "kill", 2)]


def test_the_nth_task_of_the_run_is_counted_over_all_executors(run: Run) -> None:
    run.arm("kill nth=3", "0", "1")
    for name in ("0", "1", "1", "0"):
        run.task(name)
    assert run.fired == [("1", "kill", 3)]


def test_with_an_executor_only_its_own_events_count(run: Run) -> None:
    run.arm("kill executor=1 nth=2", "0", "1")
    for name in ("0", "0", "1", "0", "1"):
        run.task(name)
    assert run.fired == [("1", "kill", 2)]


def test_what_fired_in_one_process_is_known_to_its_replacement(run: Run) -> None:
    number = run.arm("kill partition=3", "0")
    run.task("0", partition=3)
    run.process("2").arm(number, faults.plan("kill partition=3"))
    run.task("2", partition=3, attempt=1)
    assert run.fired == [("0", "kill", 1)]


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ("kill stage=2", {"stage": 2}),
        ("kill stage=reduceByKey", {"stage_name": "reduceByKey at a.py:1"}),
        ("kill partition=3 attempt=1", {"partition": 3, "attempt": 1}),
    ],
)
def test_where_chooses_among_tasks(run: Run, rule: str, about: dict[str, Any]) -> None:
    run.arm(rule, "0")
    run.task("0", stage=9, stage_name="reduceByKeyLocally at a.py:1", partition=9, attempt=9)
    assert run.fired == []
    run.task("0", **about)
    assert len(run.fired) == 1


def test_blocks_are_chosen_by_pattern(run: Run) -> None:
    run.arm("corrupt block=rdd_*_3 times=*", "0")
    for block in ("rdd_1_2", "rdd_1_3", "broadcast_3", "rdd_12_3"):
        run.process("0")("block.put", block=block)
    assert len(run.fired) == 2


def test_the_middle_is_after_so_many_records(run: Run) -> None:
    run.arm("raise exception=ValueError at=middle records=3", "0")
    for n in range(1, 6):
        assert (run.task("0", "task.record", n=n) is not None) == (n == 3)


def test_sites_inside_a_task_know_the_task(run: Run) -> None:
    run.arm("kill at=shuffle_read partition=3", "0")
    run.task("0", partition=2)
    run.process("0")("shuffle.read")
    run.task("0", "task.reported", partition=2)
    run.task("0", partition=3)
    assert run.fired == []
    run.process("0")("shuffle.read")
    assert len(run.fired) == 1


def test_after_its_report_a_thread_has_no_task(run: Run) -> None:
    run.arm("kill at=block_put partition=0", "0")
    run.task("0")
    run.task("0", "task.reported")
    run.process("0")("block.put", block="rdd_0_0")
    assert run.fired == []


def test_rules_are_for_the_processes_that_they_name(run: Run) -> None:
    run.arm("kill role=driver at=job; kill executor=1; fail_fork executor=5", "driver", "launcher", "0", "1")
    for name in ("driver", "launcher", "0", "1"):
        injector = run.process(name)
        injector("driver.job")
        injector("fork", executor="5")
        run.task(name)
    assert run.fired == [("driver", "kill", 1), ("5", "fail_fork", 1), ("1", "kill", 1)]


def test_a_process_whom_no_rule_concerns_is_not_armed(run: Run) -> None:
    run.arm("kill executor=1", "driver", "0")
    assert sites.armed is None
    run.arm("kill executor=0", "0")
    assert sites.armed is run.process("0")


def test_what_the_room_does_itself_is_no_event(run: Run) -> None:
    run.arm("fail times=*", "0")
    with unwatched():
        run.process("0")("call", call="write")
    assert run.fired == []


def test_an_action_is_unwatched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.arm("fail times=*", "0")
    injector = run.process("0")
    monkeypatch.setitem(injector._acts, "fail", lambda firing: injector("call", call="write") or run.note(firing))
    injector("call", call="write")
    assert len(run.fired) == 1


# --- several plans ---------------------------------------------------------------------------------------------------


def test_plans_are_armed_side_by_side_and_disarmed_alone(run: Run) -> None:
    first = run.arm("kill times=*", "0")
    second = run.arm("slow seconds=1 times=*", "0")
    run.task("0")
    run.process("0").disarm(first)
    run.task("0")
    run.process("0").disarm(second)
    run.task("0")
    assert run.fired == [("0", "kill", 1), ("0", "slow", 1), ("0", "slow", 2)]


def test_arming_twice_is_arming_once(run: Run) -> None:
    number = run.arm("kill times=*", "0")
    run.process("0").arm(number, faults.plan("kill times=*"))
    run.task("0")
    assert len(run.fired) == 1


def test_the_driver_ends_a_plan_for_all(run: Run) -> None:
    run.arm("kill times=*", "driver", "0")
    run.ledgers[0].end()
    run.task("0")
    assert run.fired == []


# --- chance ----------------------------------------------------------------------------------------------------------


def fallen(run: Run, seed: int, order: list[int], name: str = "0") -> set[int]:
    """Partitions of the tasks at which a rule of chance fires."""
    run.arm(Plan(faults.plan("slow seconds=1 probability=0.5").rules, seed), name)
    found = {partition for partition in order if run.task(name, partition=partition) is not None}
    run.process(name).disarm_all()
    return found


def test_chance_falls_the_same_for_a_task_wherever_and_whenever_it_runs(run: Run) -> None:
    partitions = list(range(64))
    assert fallen(run, 7, partitions) == fallen(run, 7, partitions[::-1], "1")
    assert fallen(run, 7, partitions) != fallen(run, 8, partitions)
    assert 16 < len(fallen(run, 7, partitions)) < 48


def test_two_rules_of_chance_do_not_fall_alike(run: Run) -> None:
    run.arm("kill probability=0.5; slow seconds=1 probability=0.5", "0")
    for partition in range(64):
        run.task("0", partition=partition)
    assert {number for _, action, number in run.fired if action == "kill"}
    assert sum(action == "kill" for _, action, _ in run.fired) != sum(action == "slow" for _, action, _ in run.fired)


def test_chance_fires_as_often_as_it_may(run: Run) -> None:
    run.arm("slow seconds=1 probability=1 times=3", "0", "1")
    for partition in range(8):
        run.task(str(partition % 2), partition=partition)
    assert len(run.fired) == 3


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_timer_needs_no_event(run: Run) -> None:
    run.arm("kill executor=0 after_seconds=0.01", "0", "1")
    wait_until(lambda: run.fired == [("0", "kill", 1)])
    assert run.ledgers[0].new_firings()[0].where == "timer"


def test_a_timer_that_is_disarmed_does_not_go_off(run: Run) -> None:
    number = run.arm("kill executor=0 after_seconds=3600", "0")
    run.process("0").disarm(number)
    wait_until(lambda: not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)])


def test_the_launchers_timers_go_off_as_it_ticks_once_each(run: Run) -> None:
    run.arm("stop seconds=1 role=launcher after_seconds=0 times=*; kill role=launcher after_seconds=3600", "launcher")
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for _ in range(3):
        run.process("launcher")(TICK)
    assert run.fired == [("launcher", "stop", 1)]


def test_events_before_the_time_do_not_count(run: Run) -> None:
    run.arm("slow seconds=1 after_seconds=3600; raise exception=ValueError after_seconds=0 nth=1", "0")
    run.task("0")
    assert [action for _, action, _ in run.fired] == ["raise"]


# --- forks -----------------------------------------------------------------------------------------------------------


def test_a_fork_is_not_armed(run: Run) -> None:
    run.arm("kill times=*", "0")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if sites.armed is None and run.task("0") is None else 1)
    assert os.waitpid(pid, 0)[1] == 0


# --- families --------------------------------------------------------------------------------------------------------


def test_every_action_is_done_by_a_family() -> None:
    assert families.acts().keys() == ACTIONS.keys()


def test_a_block_that_is_written_again_by_the_same_task_is_another_draw(run: Run) -> None:
    run.arm("corrupt block=shuffle_* probability=0.5", "0")
    same_task = [run.task("0", "block.put", block=f"shuffle_0_{n}_0.data") is not None for n in range(40)]
    assert 5 < sum(same_task) < 35


@pytest.mark.parametrize("disarmed", [True, False])
def test_an_event_that_cannot_be_counted_is_told_unless_its_plan_was_disarmed_meanwhile(
    run: Run, caplog: pytest.LogCaptureFixture, disarmed: bool
) -> None:
    number = run.arm("kill", "0")
    injector = run.process("0")
    rules = injector._by_site["task.start"]  # which a thread has when another one disarms
    if disarmed:
        injector.disarm(number)
    else:
        run.ledgers[number].close()
    injector._meet(rules, "task.start", TASK)
    assert run.fired == []
    assert ("a fault was not counted" in caplog.text) == (not disarmed)
