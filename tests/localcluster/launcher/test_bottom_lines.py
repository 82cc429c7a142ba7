"""Lines at the bottom of a terminal, on a pseudo-terminal whose screen is read back."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
from collections.abc import Iterator

import pyte
import pytest

from localcluster.launcher.bottom_lines import BottomLines, release_terminal, terminal_name

COLUMNS, ROWS = 20, 6


class Screen:
    """``fd`` is the terminal, `rows` what it shows."""

    def __init__(self) -> None:
        self._master, self.fd = pty.openpty()
        self._screen = pyte.HistoryScreen(COLUMNS, ROWS, history=100)
        self._stream = pyte.ByteStream(self._screen)
        self.resize(ROWS)

    def resize(self, rows: int) -> None:
        self.rows()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        self._screen.resize(rows, COLUMNS)

    def write(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def rows(self) -> list[str]:
        while select.select([self._master], [], [], 0)[0]:
            self._stream.feed(os.read(self._master, 4096))
        return [line.rstrip() for line in self._screen.display]

    def scrolled_off(self) -> list[str]:
        self.rows()
        return ["".join(row[x].data for x in range(COLUMNS)).rstrip() for row in self._screen.history.top]

    def close(self) -> None:
        for fd in (self._master, self.fd):
            os.close(fd)


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    screen.close()


@pytest.fixture
def lines(screen: Screen) -> Iterator[BottomLines]:
    lines = BottomLines(screen.fd)
    yield lines
    lines.close()


def test_output_goes_on_above_where_it_was_and_scrolls_there(screen: Screen, lines: BottomLines) -> None:
    screen.write("one\npar")
    lines.show(["bar 1"])
    screen.write("tial\n")
    assert screen.rows() == ["one", "partial", "", "", "", "bar 1"]
    lines.show(["bar 2"])
    for number in range(6):
        screen.write(f"{number}\n")
    assert screen.rows() == ["2", "3", "4", "5", "", "bar 2"]
    assert screen.scrolled_off() == ["one", "partial", "0", "1"]
    lines.clear()
    screen.write("after\nlast")
    assert screen.rows() == ["2", "3", "4", "5", "after", "last"]


def test_at_the_bottom_of_the_screen_what_is_there_moves_up(screen: Screen, lines: BottomLines) -> None:
    screen.write("1\n2\n3\n4\n5\nworking...")
    lines.show(["bar"])
    assert screen.rows() == ["2", "3", "4", "5", "working...", "bar"]
    screen.write(" done\n6\n")
    lines.clear()
    assert screen.rows() == ["4", "5", "working... done", "6", "", ""]


def test_more_and_fewer_lines_cost_none_of_the_output(screen: Screen, lines: BottomLines) -> None:
    screen.write("1\n2\n3\n4\n5\n6")
    lines.show(["a"])
    lines.show(["a", "b"])
    assert screen.rows() == ["3", "4", "5", "6", "a", "b"]
    lines.show(["b"])
    screen.write(" and\n7")
    assert screen.rows() == ["3", "4", "5", "6 and", "7", "b"]
    lines.show([])
    assert screen.rows() == ["3", "4", "5", "6 and", "7", ""]
    assert screen.scrolled_off() == ["1", "2"]


def test_a_screen_with_no_room_shows_none(screen: Screen, lines: BottomLines) -> None:
    lines.show(["bar"] * ROWS)
    screen.write("text")
    assert screen.rows() == ["text", *[""] * (ROWS - 1)]


def test_a_program_that_resets_the_terminal_loses_the_lines_until_they_are_shown_again(
    screen: Screen, lines: BottomLines
) -> None:
    lines.show(["bar"])
    screen.write("\x1b[r\x1b[H\x1b[2Jnew")
    lines.show(["bar"])
    screen.write("\n1\n2\n3\n4\n5\n")
    assert screen.rows() == ["2", "3", "4", "5", "", "bar"]


@pytest.mark.parametrize("rows", [4, 9])
def test_after_a_change_of_size_they_are_at_the_new_bottom_only_and_the_output_is_kept(
    rows: int, screen: Screen, lines: BottomLines
) -> None:
    screen.write("1\n2\n3")
    lines.show(["bar 1"])
    screen.resize(rows)
    lines.show(["bar 2"])
    kept = ["1", "2", "3"][max(ROWS - rows, 0) :]  # this terminal drops its first rows, others its last
    assert screen.rows() == [*kept, *[""] * (rows - len(kept) - 1), "bar 2"]
    lines.clear()
    screen.write("\n" * rows + "end")
    assert screen.rows() == [*[""] * (rows - 1), "end"]


def test_a_terminal_that_its_user_has_stopped_holds_up_nobody(
    screen: Screen, lines: BottomLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcluster.launcher.bottom_lines.PATIENCE", 0.01)
    lines.show(["bar 1"])
    termios.tcflow(screen.fd, termios.TCOOFF)
    lines.show(["bar 2"])
    lines.clear()
    release_terminal(terminal_name(screen.fd))
    termios.tcflow(screen.fd, termios.TCOON)
    assert screen.rows()[-1] == "bar 1"
    lines.clear()
    assert screen.rows()[-1] == ""


def test_a_window_that_was_closed_raises_nothing() -> None:
    master, slave = pty.openpty()
    lines = BottomLines(slave)
    name = terminal_name(slave)
    os.close(slave)
    os.close(master)
    lines.show(["bar"])
    lines.close()
    release_terminal(name)


def test_what_a_dead_process_left_is_released_by_another(screen: Screen, lines: BottomLines) -> None:
    screen.write("text ")
    lines.show(["bar", "bar"])
    release_terminal(terminal_name(screen.fd))
    screen.write("1\n2\n3\n4\n5\n6\n7")
    assert screen.rows() == ["2", "3", "4", "5", "6", "7"]
    assert screen.scrolled_off() == ["text 1"]


def test_what_is_no_terminal_has_no_name_and_is_left_alone(monkeypatch: pytest.MonkeyPatch, screen: Screen) -> None:
    read, write = os.pipe()
    assert terminal_name(write) is None
    for fd in (read, write):
        os.close(fd)
    monkeypatch.setenv("TERM", "dumb")
    assert terminal_name(screen.fd) is None
    release_terminal(None)
