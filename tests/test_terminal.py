"""The tests' own terminal: what it shows, keys, size, streams that go elsewhere, and the end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.terminal import Terminal


def python(source: str, **options: object) -> Terminal:
    return Terminal([sys.executable, "-c", source], **options)  # type: ignore[arg-type]


def test_the_screen_is_what_a_person_would_see() -> None:
    with python(r"print('abc\rX'); print('gone\r\x1b[Kéß', end='')", columns=40) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines() == ["Xbc", "éß"]


def test_lines_that_scrolled_off_are_kept_and_long_ones_wrap() -> None:
    with python("print(*range(30), sep='\\n'); print('x' * 25)", columns=20, rows=5) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines() == [*map(str, range(30)), "x" * 20, "x" * 5]


def test_the_program_has_a_terminal_of_the_given_size() -> None:
    source = "import os; print(os.get_terminal_size().columns, os.isatty(0), os.tcgetpgrp(0) == os.getpid())"
    with python(source, columns=33) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines() == ["33 True True"]


def test_keys_reach_it_and_ctrl_c_interrupts() -> None:
    with python("print(input()[::-1]); input()") as terminal:
        terminal.type("abc\n")
        terminal.until("cba")
        terminal.type("\x03")
        assert terminal.wait() == -signal.SIGINT
        assert "KeyboardInterrupt" in terminal.text()


def test_a_stream_may_go_elsewhere(tmp_path: Path) -> None:
    source = "import sys; print('out'); print('err', file=sys.stderr)"
    with (tmp_path / "out").open("w") as file, python(source, stdout=file) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines() == ["err"]
    assert (tmp_path / "out").read_text() == "out\n"


def test_a_terminal_that_is_closed_hangs_up() -> None:
    with python("print('ready'); input()") as terminal:
        terminal.until("ready")
        terminal.hang_up()
        assert terminal.wait() == -signal.SIGHUP
