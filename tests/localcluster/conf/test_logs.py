"""Where log records go in a driver, and which levels an executor takes over. In this process; no cluster."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localcluster.conf import logs
from protocol import trace
from protocol.endpoint import Endpoint


@contextmanager
def new_process() -> Iterator[None]:
    """As in a new process: without pytest's handlers, which are added just before a test runs, and other loggers."""
    root = logging.getLogger()
    before = root.handlers, root.level, root.manager.loggerDict, root.manager.disable
    replaced = logging.lastResort, logging.basicConfig
    root.handlers, root.manager.loggerDict = [], {}
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers, level, root.manager.loggerDict, disabled = before
        root.setLevel(level)
        logging.disable(disabled)
        logging.lastResort, logging.basicConfig = replaced


def own() -> logging.Logger:
    return logging.getLogger("localcluster.some.module")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


# --- driver --------------------------------------------------------------------------------------------------------


@new_process()
def test_without_handlers_our_records_go_to_standard_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_own_records({})
    logs.show_own_records({})
    own().warning("lost")
    own().info("not asked for")
    [line] = lines(capsys)
    assert line.endswith(" WARNING driver localcluster.some.module: lost")
    assert logging.getLogger().handlers == [], "the root logger is the program's"


@pytest.mark.parametrize("name", ["", "localcluster", "localcluster.some.module"])
@new_process()
def test_a_handler_of_the_program_takes_over(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_own_records({})
    file = io.StringIO()
    logging.getLogger(name).addHandler(logging.StreamHandler(file))
    own().warning("lost")
    assert file.getvalue() == "lost\n"
    assert lines(capsys) == []


@new_process()
def test_basic_config_obeys_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_own_records({})
    logging.basicConfig(level=logging.INFO, format="mine: %(message)s")
    logging.info("of the program")
    own().info("of ours")
    assert lines(capsys) == ["mine: of the program", "mine: of ours"]


@new_process()
def test_a_program_may_silence_ours(capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_own_records({})
    logging.getLogger("localcluster").addHandler(logging.NullHandler())
    own().warning("lost")
    assert lines(capsys) == []


@new_process()
def test_a_stream_that_cannot_be_written_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.show_own_records({})
    monkeypatch.setattr(logging, "raiseExceptions", False)
    for stream in (None, open("/dev/full", "w", buffering=1)):  # noqa: SIM115
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            own().warning("lost")
        if stream is not None:
            with pytest.raises(OSError, match="No space left"):
                stream.close()


@pytest.mark.parametrize(
    ("conf", "level"),
    [
        ({}, 0),
        ({"localcluster.log.level": "INFO"}, 20),
        ({"spark.log.level": "OFF", "localcluster.log.level": "INFO"}, 100),
    ],
)
@new_process()
def test_settings_set_the_level_of_our_loggers_only(conf: dict[str, str], level: int) -> None:
    logs.show_own_records(conf)
    assert [logging.getLogger(name).level for name in logs.OWN_LOGGERS] == [level] * 3
    assert logging.getLogger().level == logging.WARNING


# --- levels for executors ------------------------------------------------------------------------------------------


@new_process()
def test_levels_are_those_that_were_set() -> None:
    logging.getLogger().setLevel(logging.WARNING)
    assert logs.levels() == {"": 30}
    logging.getLogger("app.part").setLevel(logging.DEBUG)  # "app" itself is no logger yet
    logging.getLogger("other")
    assert logs.levels() == {"": 30, "app.part": 10}
    logging.disable(logging.INFO)
    assert logs.levels() == {"": 30, "app.part": 21}
    logging.disable(logging.CRITICAL)
    assert logs.levels() == {"": 51, "app.part": 51}


@pytest.mark.parametrize(("root", "own", "expected"), [(30, 20, 20), (20, 40, 20), (30, 100, 30), (40, 0, 40)])
@new_process()
def test_tasks_log_what_the_program_or_our_level_lets_through(root: int, own: int, expected: int) -> None:
    logging.getLogger().setLevel(root)
    logs.set_own_level(own)
    assert logs.levels()[""] == expected
    assert logs.levels().get("localcluster", 0) == own


@new_process()
def test_an_executor_follows_changes_and_leaves_the_rest_to_tasks() -> None:
    followed = logs.FollowedLevels()
    root, app, other = map(logging.getLogger, ("", "app", "other"))
    followed.follow({"": 30, "app": 10})
    assert (root.level, app.level) == (30, 10)
    root.setLevel(40)  # by a task
    other.setLevel(50)
    followed.follow({"": 30, "app": 10})
    followed.follow({"": 30})
    assert (root.level, app.level, other.level) == (40, logging.NOTSET, 50)
    followed.follow({"": 20})
    assert root.level == 20


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"": 0}, False),
        ({"": 1}, False),
        ({"": 5, "app": 1}, False),
        ({"": 5, "localcluster": 5}, True),
        ({"": 1, "localcluster": 20}, False),
    ],
)
@new_process()
def test_messages_are_traced_for_who_asks_for_our_records_not_for_all_records(
    levels: dict[str, int], expected: bool
) -> None:
    followed = logs.FollowedLevels()
    try:
        followed.follow(levels)
        assert (Endpoint.hook is not None) == expected
        followed.follow({"": 30})
        assert Endpoint.hook is None
    finally:
        trace.switch(False)


# --- executors -----------------------------------------------------------------------------------------------------


@new_process()
def test_records_of_tasks_name_their_executor_and_one_that_sets_up_logging_is_obeyed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up_logging({}, "executor 3")
    logging.warning("of a task")
    own().warning("of ours")
    logging.info("not asked for")
    first, second = lines(capsys)
    assert first.endswith(" WARNING executor 3 root: of a task")
    assert second.endswith(" WARNING executor 3 localcluster.some.module: of ours")
    logging.basicConfig(level=logging.INFO, format="task's %(message)s")
    logging.info("own set-up")
    assert lines(capsys) == ["task's own set-up"]


@new_process()
def test_before_its_first_stage_an_executor_has_the_configured_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging({"localcluster.log.level": "DEBUG"}, "executor 0")
    logging.getLogger("storage").debug("starting")
    assert "starting" in capsys.readouterr().err
