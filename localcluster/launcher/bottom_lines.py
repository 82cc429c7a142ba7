"""Lines at the bottom of a terminal that stay where they are while everything else scrolls above them.

The terminal does it, which can scroll a part of its screen only (VT100's DECSTBM). So nobody else needs to know of
them: not the program, which may print, prompt and read as ever, nor tasks and what they start, which write to the
same terminal from other processes. Each change is one write, which the kernel does not mix with others'. Does not
cover what the lines say.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence

PATIENCE = 0.5  # seconds to wait for a terminal that takes nothing, before its lines are left there
_SAVE, _RESTORE = "\x1b7", "\x1b8"  # position and colours of the cursor
_WHOLE_SCREEN = "\x1b[r"  # scrolls again; moves the cursor, as every change of the region
_PLAIN = "\x1b[m"
_DOWN = "\x1bD"  # by one line, in the same column; scrolls at the bottom
# For who does not know how many lines there are, or where since the size changed: erases what is below the cursor.
_RELEASE = f"{_SAVE}{_WHOLE_SCREEN}{_RESTORE}{_SAVE}{_PLAIN}\x1b[J{_RESTORE}"


class BottomLines:
    """Lines at the bottom of a terminal that does not scroll there.

    ``fd`` is a terminal's. For one thread at a time.
    """

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)  # the program may close its own: then another file has the number
        self._kept = 0  # lines
        self._rows = 0  # of the terminal when they were put there

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal, (0, 0) when it is not ours: of a closed window, or of a job that its user
        has put in the background and that would write into another's screen.
        """
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            return 0, 0
        try:
            in_front = os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # a terminal without jobs
            in_front = True
        return (columns, rows) if in_front else (0, 0)

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines, shorter than the terminal's, in place of those before. Not if the terminal takes nothing
        at the moment (Ctrl-S).
        """
        _, rows = self.size()
        if not lines or len(lines) >= rows:
            self.clear()
            return
        if not _can_write(self._fd, 0.0):
            return
        text = ""
        if (len(lines), rows) != (self._kept, self._rows):
            text = f"{self._release(rows)}{_DOWN * len(lines)}\x1b[{len(lines)}A"
        top = rows - len(lines)
        # Again each time, since a program such as `clear` or a pager may have set it back.
        text += f"{_SAVE}\x1b[1;{top}r{_PLAIN}"
        text += "".join(f"\x1b[{row}H\x1b[2K{line}" for row, line in enumerate(lines, top + 1)) + _RESTORE
        self._kept, self._rows = len(lines), rows  # before the write, in which a Ctrl-C may come
        _write(self._fd, text)

    def clear(self) -> None:
        """Let the whole screen scroll again."""
        if self._kept and _can_write(self._fd, PATIENCE):
            try:
                rows = os.get_terminal_size(self._fd).lines
            except OSError:
                rows = 0
            _write(self._fd, self._release(rows))
            self._kept = 0

    def close(self) -> None:
        self.clear()
        os.close(self._fd)

    def _release(self, rows: int) -> str:
        if not self._kept:
            return ""
        if rows != self._rows:
            return _RELEASE
        old = range(rows - self._kept + 1, rows + 1)
        return f"{_SAVE}{_WHOLE_SCREEN}{_PLAIN}" + "".join(f"\x1b[{row}H\x1b[2K" for row in old) + _RESTORE


def can_keep_lines(fd: int) -> bool:
    return os.isatty(fd) and os.environ.get("TERM") != "dumb"


# --- for who survives a process that may have had such lines -------------------------------------------------------


def terminal_name(fd: int) -> str | None:
    """What `release_terminal` takes: a path, since it keeps no window open that its user closes."""
    try:
        return os.ttyname(fd) if can_keep_lines(fd) else None
    except OSError:  # of another mount namespace
        return None


def release_terminal(name: str | None) -> None:
    """Let its whole screen scroll again."""
    if name is None:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # could stop us: `stty tostop`
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(fd, _RELEASE.encode())
        finally:
            os.close(fd)
    except OSError:  # the window was closed, or its user has stopped it (Ctrl-S)
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _can_write(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(seconds * 1000))


def _write(fd: int, text: str) -> None:
    data = text.encode(errors="replace")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:  # the window was closed
        return
