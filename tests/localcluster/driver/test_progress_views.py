"""How progress bars look, where they are shown, and tqdm's bars in notebooks."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from localcluster.driver import progress_views
from localcluster.driver.progress_views import NotebookBars, StageProgress, TerminalBars, meter, progress_view

STAGE = StageProgress(3, 0, "reduceByKey at /home/me/a directory/job.py:17", 400, 100, 2, 50.0)


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 79, 99, 200])
def test_a_meter_fits_and_says_how_far_the_stage_is(columns: int) -> None:
    text = meter(STAGE, columns)
    assert len(text) == columns
    assert " 25%|" in text
    assert "| 100/400" in text
    bar = text.split("|")[1]
    assert len(bar) >= (10 if columns >= 30 else 4)
    assert bar.count("█") == len(bar) // 4


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (24, r" 25%\|.{10}\| 100/400"),
        (33, r"stage 3:  25%\|.{10}\| 100/400"),
        (47, r"stage 3:  25%\|.{10,}\| 100/400 \[00:50<02:30\]"),
        (79, r"stage 3:  25%\|.{10,}\| 100/400 \[00:50<02:30,  2.00task/s\]"),
        (85, r"stage 3 reduceByKey at job.py:17:  25%\|.{10,}\| 100/400 \[00:50<02:30,  2.00task/s\]"),
        (99, r"stage 3 reduceByKey at job.py:17:  25%\|.{10,}\| 100/400 \[00:50<02:30,  2.00task/s, 2 running\]"),
    ],
)
def test_the_wider_the_terminal_the_more_is_said(columns: int, expected: str) -> None:
    assert re.fullmatch(expected, meter(STAGE, columns))


def test_before_a_task_has_ended_there_is_no_rate() -> None:
    assert meter(STAGE._replace(done=0), 120).endswith("| 0/400 [00:50<?, ?task/s, 2 running]")


def test_a_name_cannot_move_the_cursor_and_a_terminal_without_unicode_gets_none() -> None:
    text = meter(STAGE._replace(name="\x1b[2Jcount at a\nb.py:1"), 120, ascii=True)
    assert text.startswith("stage 3 ?[2Jcount at a?b.py:1:")
    assert text.isascii()


def test_a_terminal_shows_at_most_three_bars_and_keeps_most_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[str]] = []
    sizes = iter([(40, 24), (40, 9), (40, 3), (0, 0)])
    lines = SimpleNamespace(size=lambda: next(sizes), show=shown.append, clear=lambda: shown.append([]))
    monkeypatch.setattr(progress_views, "BottomLines", lambda fd: lines)
    bars = TerminalBars(2, "utf-8")
    for _ in range(4):
        bars.show([STAGE] * 5)
    assert [len(lines) for lines in shown] == [3, 2, 0, 0]
    assert {len(line) for lines in shown for line in lines} == {39}, "none in the last column, where terminals wrap"
    bars.show([])
    assert shown[-1] == []


# --- where ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[Any]:
    master, slave = pty.openpty()
    with open(slave, "w") as stream:
        yield stream
    os.close(master)


def test_a_terminal_gets_bars_and_a_dumb_one_none(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    view = progress_view()
    assert isinstance(view, TerminalBars)
    view.close()
    monkeypatch.setenv("TERM", "dumb")
    assert progress_view() is None


def test_without_a_terminal_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    with open(os.devnull, "w") as file:
        for stream in (None, file, io.StringIO(), closed):
            monkeypatch.setattr(sys, "stderr", stream)
            assert progress_view() is None


@pytest.mark.parametrize(
    ("shell", "is_notebook"), [(None, False), (object(), False), (SimpleNamespace(kernel=1), True)]
)
def test_a_kernel_of_ipython_is_a_notebook_and_its_terminal_is_none(
    shell: object, is_notebook: bool, terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(sys, "stderr", terminal)
    view = progress_view()
    assert isinstance(view, NotebookBars) == is_notebook
    assert view is not None
    view.close()


# --- notebooks -----------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    progress_views._tqdm.cache_clear()
    yield
    progress_views._tqdm.cache_clear()


@pytest.mark.usefixtures("fresh_choice")
def test_a_notebook_with_widgets_gets_those_of_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = ModuleType("tqdm.auto")
    auto.tqdm = type("WidgetBar", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    monkeypatch.setattr(progress_views, "find_spec", lambda name: object())
    assert issubclass(progress_views._tqdm(), auto.tqdm)


@pytest.mark.usefixtures("fresh_choice")
def test_bars_of_a_notebook_say_the_same_and_go_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_views, "find_spec", lambda name: None)
    bars = NotebookBars()
    bars.show([STAGE, STAGE._replace(stage_id=4, done=0)])
    first = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert any(re.search(r"stage 3 .* 100/400 \[00:50<02:30, +2.00task/s, 2 running\]$", text) for text in first), first
    assert not any("stage 3 " in text and " 0/400 " in text for text in first), "drawn with its numbers only"
    bars.show([STAGE._replace(done=200, seconds=100.0)])
    assert " 200/400 " in capsys.readouterr().err
    bars.close()
    erased = capsys.readouterr().err.split("\r")
    assert {text.strip() for text in erased[-2:]} == {""}
    bars.close()
