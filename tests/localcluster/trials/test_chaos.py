"""Chaos rounds with a job that is made up: what counts as a difference, what is said, what is raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import pytest

from localcluster.faults.exceptions import ON_PURPOSE
from localcluster.faults.grammar import parse
from localcluster.trials.chaos import Chaos, named_comparison
from localcluster.trials.random_plans import DRAWS, draw, kinds_named
from localcluster.trials.rounds import Job, Outcome, difference
from protocol.errors import ConfigurationError, FaultPlanError

GOOD = Outcome(0, b"42\n", "", {})


@dataclass(frozen=True)
class MadeUp(Job):
    """Answers by its rules; notes those that it was run with."""

    options: tuple[str, ...] = ()
    words: tuple[str, ...] = ("job.py",)
    answer: Callable[[Sequence[str]], Outcome] = lambda rules: GOOD
    runs: list[Sequence[str]] = field(default_factory=list)

    def run(self, rules: Sequence[str], seed: int, deadline: float) -> Outcome:
        self.runs.append(rules)
        return self.answer(rules)


def chaos(answer: Callable[[Sequence[str]], Outcome], rounds: int = 20) -> tuple[bool, str, list[Sequence[str]]]:
    said: list[str] = []
    job = MadeUp(answer=answer)
    result = Chaos(job, 7, list(DRAWS), difference, said.append).run(rounds)
    return result, "\n".join(said), job.runs


def test_a_job_that_survives_passes_under_the_plans_of_its_seed() -> None:
    passed, said, runs = chaos(lambda rules: GOOD)
    assert passed
    assert "20 rounds, 0 of them" in said
    assert runs == [(), (), *(draw(f"7/{number}", list(DRAWS)) for number in range(20))]


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, code=1),
        replace(GOOD, code=None),
        replace(GOOD, stdout=b"41\n"),
        replace(GOOD, files={"x": b""}),
        replace(GOOD, left=("process 1",)),
        replace(GOOD, code=1, stderr=ON_PURPOSE, left=("process 1",)),
    ],
)
def test_the_first_difference_is_shrunk_and_can_be_repeated(bad: Outcome) -> None:
    def answer(rules: Sequence[str]) -> Outcome:
        return bad if any(rule.startswith("kill") for rule in rules) else GOOD

    passed, said, _ = chaos(answer, 100)
    assert not passed
    (shown,) = [line for line in said.splitlines() if line.startswith("the fewest faults")]
    fewest = shown.partition(": ")[2]
    assert fewest.startswith("kill")
    assert ";" not in fewest
    assert f"--inject '{fewest}' job.py" in said
    assert "localcluster.faults.seed=7" in said


def test_an_error_that_the_plan_raises_is_an_answer() -> None:
    failed = replace(GOOD, code=1, stderr=f"TaskError: RuntimeError: {ON_PURPOSE} (raise)", stdout=b"")
    passed, said, _ = chaos(lambda rules: failed if any("raise" in rule for rule in rules) else GOOD, 100)
    assert passed
    assert "ended by an error that the plan raises" in said


@pytest.mark.parametrize(
    ("outcomes", "what"),
    [
        ([GOOD, replace(GOOD, stdout=b"43\n")], "two runs without faults differ"),
        ([replace(GOOD, code=None)] * 2, "does not end"),
        ([replace(GOOD, left=("process 1",))] * 2, "leaves, without any faults: process 1"),
    ],
)
def test_a_job_without_one_result_is_refused(outcomes: list[Outcome], what: str) -> None:
    rest = iter(outcomes)
    with pytest.raises(ConfigurationError, match=what):
        chaos(lambda rules: next(rest))


def test_a_job_that_fails_anyway_says_why() -> None:
    failed = replace(GOOD, code=1, stderr="Traceback\nOSError: no such file")
    passed, said, _ = chaos(lambda rules: failed, 1)
    assert passed
    assert "the job fails without any faults, and is expected to:\n    Traceback\n    OSError: no such file" in said


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DRAWS)
def test_whatever_is_drawn_is_a_rule(kind: str) -> None:
    for seed in range(50):
        for rule in draw(str(seed), [kind]):
            assert parse(rule)[0].what.action == kind


def test_nothing_is_drawn_that_no_job_survives() -> None:
    drawn = [parse(rule)[0] for kind in DRAWS for seed in range(200) for rule in draw(str(seed), [kind])]
    assert {rule.where.role for rule in drawn if rule.when.at == "block_put" and rule.where.block is None} == {
        "executor"
    }
    patterns = {rule.where.block for rule in drawn if rule.where.block is not None}
    for name in ("broadcast_5", "broadcast_15_stage", "broadcast_5_outputs", "rdd_1_2"):
        assert any(fnmatchcase(name, pattern) for pattern in patterns)
    assert not any(fnmatchcase("broadcast_5_data", pattern) for pattern in patterns)


def test_a_seed_draws_the_same_each_time() -> None:
    assert draw("1/2", list(DRAWS)) == draw("1/2", list(DRAWS)) != draw("1/3", list(DRAWS))


def test_kinds_are_actions_or_families() -> None:
    assert kinds_named(["kill"]) == ["kill"]
    assert kinds_named(["message", "stop"]) == ["stop", "drop", "delay", "duplicate", "reorder", "garble"]
    with pytest.raises(FaultPlanError, match=r"mesage.*did you mean message"):
        kinds_named(["mesage"])


# --- a comparison of the user's --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing_there:f", "os:nothing", "os", "os:"])
def test_a_comparison_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="it wants MODULE:FUNCTION"):
        named_comparison(name)


def test_a_comparison_says_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, None, False, "the sum"])
    monkeypatch.setattr("operator.matmul", lambda one, other: next(answers))
    compare = named_comparison("operator:matmul")
    assert [compare(GOOD, GOOD) for _ in range(4)] == [
        None,
        None,
        "operator:matmul says: False",
        "operator:matmul says: the sum",
    ]
