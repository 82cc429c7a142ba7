"""Plans as text: what is read is what was written, and what has no meaning is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster import faults
from localcluster.faults import Plan, grammar
from localcluster.faults.check import check
from localcluster.faults.keys import KEYS, calls, messages, rule_text
from localcluster.faults.rule import UNLIMITED, Rule, What, When, Where
from localcluster.faults.vocabulary import ACTIONS, EXECUTOR, MOMENTS, ROLES, roles_of
from protocol.errors import FaultPlanError

counts = st.integers(1, 1000)
seconds = st.floats(0, 1e6).map(float)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "code": st.integers(0, 255),
    "seconds": seconds,
    "exception": st.sampled_from(["ValueError", "KeyboardInterrupt", "json.JSONDecodeError"]),
    "limit": st.integers(0, 1 << 40),
    "errno": st.sampled_from(["ENOSPC", "EIO"]),
    "gil": st.booleans(),
    "executor": st.integers(0, 9).map(str),
    "stage": st.integers(0, 99) | st.sampled_from(["reduceByKey", "collect"]),
    "partition": st.integers(0, 99),
    "attempt": st.integers(0, 3),
    "block": st.sampled_from(["rdd_*_3", "shuffle_0_*.data", "broadcast_[0-3]"]),
    "message": st.sampled_from(messages()),
    "call": st.sampled_from(calls()),
    "role": st.sampled_from(ROLES),
    "at": st.sampled_from(list(MOMENTS)),
    "records": counts,
    "nth": counts,
    "every": counts,
    "after_tasks": counts,
    "after_seconds": seconds,
    "probability": st.floats(0, 1, exclude_min=True),
    "times": counts | st.just(UNLIMITED),
}


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Any rule, most of which mean nothing."""
    values = draw(st.dictionaries(st.sampled_from(list(KEYS)), st.none(), max_size=5))
    drawn = {name: draw(VALUES[name]) for name in values}
    parts = {part: {n: v for n, v in drawn.items() if KEYS[n].part == part} for part in ("what", "where", "when")}
    what = What(draw(st.sampled_from(list(ACTIONS))), **parts["what"])
    return Rule(what, Where(**parts["where"]), When(**parts["when"]))


def test_every_key_is_drawn() -> None:
    assert VALUES.keys() == KEYS.keys()
    assert list(KEYS) == [*What._fields[1:], *Where._fields, *When._fields]


@given(rules())
def test_the_text_of_a_rule_means_that_rule_or_both_are_refused(rule: Rule) -> None:
    try:
        check(rule)
    except FaultPlanError:
        with pytest.raises(FaultPlanError):
            grammar.parse(rule_text(rule))
    else:
        assert grammar.parse(rule_text(rule)) == (rule,)


@pytest.mark.parametrize(
    "text",
    [
        "kill executor=1 after_tasks=5",
        "exit code=7 executor=0 stage=2",
        "segfault stage=reduceByKey partition=3",
        "stop seconds=5.0 executor=0",
        "stop executor=0 at=registration",
        "raise exception=ValueError stage=2 partition=3 attempt=0 at=middle records=100",
        "raise exception=json.JSONDecodeError at=unpickle nth=2",
        "hog limit=1000000 executor=1 after_seconds=1.0",
        "slow seconds=0.5 partition=2",
        "hang gil=yes partition=2",
        "silence seconds=3.0 executor=1 after_tasks=2",
        "kill role=driver at=job nth=2",
        "kill role=launcher after_seconds=0.5",
        "fail_fork executor=4",
        "delay_fork seconds=2.0 every=2",
        "drop message=TasksFinished nth=3",
        "delay seconds=1.0 executor=1 message=LaunchTasks probability=0.25 times=3",
        "duplicate message=TasksFinished role=driver",
        "reorder message=TasksFinished",
        "garble message=TasksFinished every=10 times=*",
        "lose block=broadcast_* nth=2",
        "truncate block=shuffle_0_*.data at=block_read",
        "corrupt block=rdd_*_3",
        "fail errno=ENOSPC call=write role=executor nth=3 times=*",
        "short call=write every=7",
        "full nth=2",
    ],
)
def test_each_kind_of_rule_can_be_written(text: str) -> None:
    (rule,) = grammar.parse(text)
    assert rule_text(rule) == text


def test_several_rules_are_separated_by_semicolons_or_lines() -> None:
    text = "kill executor=1 ;; stop executor=0 seconds=5\n\n hang partition=2\n"
    assert [rule.what.action for rule in grammar.parse(text)] == ["kill", "stop", "hang"]
    assert grammar.parse(grammar.text(grammar.parse(text))) == grammar.parse(text)


def test_a_star_is_any() -> None:
    assert grammar.parse("slow partition=* seconds=0.5") == grammar.parse("slow seconds=0.5")


PLACES = [(at, role) for at, moment in MOMENTS.items() if at not in ("message", "call") for role in moment.roles]


@pytest.mark.parametrize(("at", "role"), PLACES)
@pytest.mark.parametrize("action", ["hang", "hang gil=yes", "stop"])
def test_only_executors_are_held_up_for_good(action: str, at: str, role: str) -> None:
    """They are looked at by the driver, and what hangs in a task is a task that hangs."""
    text = f"{action} role={role} at={at}" + " records=1" * (at == "middle")
    if role == EXECUTOR:
        assert roles_of(grammar.parse(text)[0]) == (EXECUTOR,)
    else:
        with pytest.raises(
            FaultPlanError, match="would wait for ever: say for how long, slow seconds= or stop seconds="
        ):
            grammar.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "hang at=fork",
        "hang at=job",
        "hang executor=3 at=fork",
        "stop at=accumulators",
        "stop role=driver after_seconds=1",
        "stop role=launcher after_seconds=1",
    ],
)
def test_others_are_held_up_for_a_time(text: str) -> None:
    with pytest.raises(FaultPlanError, match="would wait for ever"):
        grammar.parse(text)
    assert grammar.parse(text.replace("stop", "stop seconds=1").replace("hang", "slow seconds=1"))


def test_what_may_hold_up_either_only_holds_up_executors() -> None:
    assert roles_of(grammar.parse("hang at=block_put")[0]) == ("executor",)
    assert roles_of(grammar.parse("slow seconds=1 at=block_put")[0]) == ("executor", "driver")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kil executor=1", ["there is no action 'kil'", "did you mean kill?", "segfault"]),
        ("kill excutor=1", ["there is no key 'excutor'", "did you mean executor?"]),
        ("kill executor", ["'executor'", "key=value"]),
        ("kill executor=1 executor=2", ["executor= is given twice"]),
        ("raise exception=ValuError", ["'ValuError'", "did you mean ValueError?"]),
        ("raise exception=a..b", ["exception=", "'a..b'"]),
        ("raise exception=__main__.Mine", ["__main__.Mine", "define it in a module"]),
        ("raise", ["raise needs exception="]),
        ("drop message=TaskFinished", ["'TaskFinished'", "did you mean TasksFinished?"]),
        ("fail call=write errno=ENOSPACE", ["'ENOSPACE'", "did you mean ENOSPC?"]),
        ("fail call=wite", ["'wite'", "did you mean write?"]),
        ("kill role=driver at=jobs", ["'jobs'", "did you mean job?"]),
        ("kill role=drivr after_seconds=1", ["'drivr'", "did you mean driver?"]),
        ("kill nth=0", ["nth= must be a whole number from 1 on", "'0'"]),
        ("kill executor=one", ["executor= must be", "a whole number", "'one'"]),
        ("kill nth=1.5", ["nth=", "'1.5'"]),
        ("kill after_seconds=nan", ["after_seconds=", "'nan'"]),
        ("kill probability=2", ["probability=", "'2'"]),
        ("kill stage=-1", ["stage=", "'-1'"]),
        ("kill stage=reducebykey", ["no stage that ends in 'reducebykey'", "did you mean reduceByKey?"]),
        ("kill stage=zip", ["no stage that ends in 'zip'", "Known: aggregate, "]),
        ("hog limit=much", ["limit=", "'much'"]),
        ("exit code=256", ["code=", "'256'"]),
        ("hang gil=maybe", ["gil=", "'maybe'"]),
        ("kill code=3", ["kill takes no code="]),
        ("kill nth=2 probability=0.5", ["one trigger", "nth and probability"]),
        ("kill at=middle", ["at=middle needs records="]),
        ("kill records=3", ["records= needs at=middle"]),
        ("kill role=driver", ["not of the driver", "after_seconds=", "job"]),
        ("kill role=executor at=job", ["at=job is of the driver"]),
        ("kill executor=1 role=driver after_seconds=1.0", ["executor= is not of the driver"]),
        ("kill partition=2 at=registration", ["at=registration has no partition="]),
        ("kill block=rdd_* at=start", ["at=start has no block="]),
        ("drop message=TasksFinished at=start", ["drop has no at=start", "message"]),
        ("drop message=TasksFinished after_tasks=2", ["drop has no after_tasks="]),
        ("full partition=1", ["at=call has no partition="]),
        ("silence role=driver after_seconds=1.0", ["silence is of executors"]),
        ("silence role=driver at=block_put", ["silence is of executors"]),
        ("silence at=job", ["silence has no at=job"]),
        ("kill at=end after_tasks=5", ["after_tasks="]),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(text: str, says: list[str]) -> None:
    with pytest.raises(FaultPlanError) as raised:
        grammar.parse(text)
    assert [words for words in [text, *says] if words not in str(raised.value)] == []


# --- Python ----------------------------------------------------------------------------------------------------------


def test_rules_made_in_python_are_those_of_the_text() -> None:
    made = [
        faults.kill(executor=1).after_tasks(5),
        faults.raising(ValueError, stage="reduceByKey", partition=3).at("middle", records=100),
        faults.exiting(7).every(2).times(3),
        faults.stop(5.0, executor="0").after_seconds(1.5),
        faults.drop(message="TasksFinished").with_probability(0.5),
        faults.lose(block="rdd_*").nth(2),
    ]
    text = """kill executor=1 after_tasks=5
    raise exception=ValueError stage=reduceByKey partition=3 at=middle records=100
    exit code=7 every=2 times=3
    stop seconds=5 executor=0 after_seconds=1.5
    drop message=TasksFinished probability=0.5
    lose block=rdd_* nth=2"""
    assert Plan(made, seed=3) == faults.plan(text, seed=3)


def test_texts_in_python_mean_what_they_mean_in_text() -> None:
    made = faults.slow(1.0, stage="0", partition="2", executor="*").times("*")  # type: ignore[arg-type]
    assert Plan([made]) == faults.plan("slow seconds=1 stage=0 partition=2 times=*")


def test_a_plan_is_made_of_texts_rules_plans_and_lists_of_them() -> None:
    two = [faults.kill(), faults.slow(1.0)]
    assert faults.plan(*two, seed=3) == Plan(two, 3)
    assert faults.plan(two) == faults.plan("kill; slow seconds=1") == Plan(two)
    assert faults.plan([two, "hang"], Plan(two, 5), Plan((), 6)) == Plan([*two, faults.hang(), *two], 5)


@pytest.mark.parametrize(
    "make", [lambda: faults.plan(faults.kill(), 7), lambda: Plan(faults.kill()), lambda: Plan("kill")]
)  # type: ignore[arg-type]
def test_a_plan_of_something_else_is_refused(make: Callable[[], Plan]) -> None:
    with pytest.raises(FaultPlanError, match="not"):
        make()


def test_there_is_a_function_for_each_action() -> None:
    other_names = {"exit": "exiting", "raise": "raising"}
    assert {other_names.get(action, action) for action in ACTIONS} <= set(faults.__all__)


def test_classes_are_named_with_their_modules() -> None:
    from json import JSONDecodeError

    assert faults.raising(JSONDecodeError).what.exception == "json.decoder.JSONDecodeError"


def test_a_class_of_the_program_itself_can_be_raised_where_the_program_is() -> None:
    mine = type("Mine", (Exception,), {"__module__": "__main__"})
    assert Plan([faults.raising(mine).at("job")]).rules[0].what.exception == "__main__.Mine"
    with pytest.raises(FaultPlanError, match=r"__main__\.Mine is of the program that runs"):
        Plan([faults.raising(mine, partition=1)])


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no argument 'partitions'; did you mean partition\? Known: executor"):
        faults.kill(partitions=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("rule", [faults.kill().nth(0), faults.kill(partition=-1), faults.slow(-1.0)])
def test_a_plan_refuses_values_that_no_text_means(rule: Rule) -> None:
    with pytest.raises(FaultPlanError):
        Plan([rule])


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_says_the_same_as_text(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("""
        seed = 7
        [[fault]]
        action = "kill"
        executor = 1
        after_tasks = 5
        [[fault]]
        action = "hang"
        gil = true
        partition = 2
        [[fault]]
        action = "delay"
        message = "LaunchTasks"
        seconds = 0.5
        probability = 0.25
    """)
    text = """kill executor=1 after_tasks=5; hang gil=yes partition=2
    delay message=LaunchTasks seconds=0.5 probability=0.25"""
    assert grammar.read_toml(str(path)) == faults.plan(text, seed=7)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("seeds = 7", ["'seeds'", "did you mean seed?"]),
        ("seed = '7'", ["seed must be a whole number", "'7'"]),
        ("fault = 1", ["[[fault]]"]),
        ("[[fault]]\nexecutor = 1", ["executor = 1", "action is missing"]),
        ("[[fault]]\naction = 'kil'", ["'kil'", "did you mean kill?"]),
        ("[[fault]", ["plan.toml"]),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, content: str, says: list[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(content)
    with pytest.raises(FaultPlanError) as raised:
        grammar.read_toml(str(path))
    assert [words for words in [str(path), *says] if words not in str(raised.value)] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultPlanError, match=r"none\.toml"):
        grammar.read_toml(str(tmp_path / "none.toml"))
