"""Running a program in a terminal and reading its screen, as a user does.

`Terminal` starts a command in a session of its own whose controlling terminal is a new pseudo-terminal. What it
writes goes through an emulator (pyte), so that carriage returns, erased lines and wrapped ones count as on a
screen. Keys such as Ctrl-C reach the foreground processes through the kernel. Nothing is read in the background: the
methods that wait read meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyte

from tests.support import DEADLINE

LOOK = 0.02  # seconds between looks at whether the program has ended
HISTORY = 10_000  # lines
ROOT = Path(__file__).resolve().parents[1]


class Terminal:
    """Use as a context manager: leaving it closes the terminal and kills what still lives.

    ``redirected`` is Popen's: ``stdout=file`` or ``stderr=file`` for a stream that does not go to the terminal.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        rows: int = 24,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **redirected: Any,
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=HISTORY)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        """All that came to the terminal, as it came."""
        self._master, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[3] |= termios.NOFLSH  # else Ctrl-C may take away what the program writes at that moment
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        self.resize(columns, rows)
        inherited = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
        try:
            self.process = subprocess.Popen(
                command,
                **{"stdin": slave, "stdout": slave, "stderr": slave} | redirected,
                cwd=cwd,
                env=inherited | {"TERM": "linux", "PYTHONPATH": str(ROOT)} | (environment or {}),
                start_new_session=True,
                preexec_fn=lambda: _take_terminal(slave),
                pass_fds=[slave],
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)

    # --- the screen ---

    def lines(self) -> list[str]:
        """What the screen shows and what has scrolled off it, without blanks at the ends of lines and at the end."""
        scrolled = ["".join(row[x].data for x in range(self._screen.columns)) for row in self._screen.history.top]
        lines = [line.rstrip() for line in [*scrolled, *self._screen.display]]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def text(self) -> str:
        return "\n".join(self.lines())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    # --- keys ---

    def type(self, keys: str) -> None:
        """``"\\n"`` is Enter, ``"\\x03"`` Ctrl-C, ``"\\x04"`` Ctrl-D, ``"\\x1c"`` Ctrl-\\."""
        os.write(self._master, keys.encode())

    def hang_up(self) -> None:
        """Close the window: the session gets SIGHUP, and reads and writes of the terminal fail from now on."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    # --- waiting ---

    def until(self, wanted: str | Callable[[list[str]], bool]) -> None:
        """Wait until the screen shows a text, or is as a function of its `lines` says. Fails after DEADLINE."""
        is_there = wanted if callable(wanted) else lambda lines: wanted in "\n".join(lines)
        deadline = time.monotonic() + DEADLINE
        while not is_there(self.lines()):
            assert time.monotonic() < deadline, f"{wanted} did not come; the screen:\n{self.text()}"
            ended = self.process.poll() is not None
            if not self._read(LOOK) and ended:
                assert is_there(self.lines()), f"{wanted} did not come before the end; the screen:\n{self.text()}"

    def wait(self) -> int:
        """The exit code, when the program has ended and all that it wrote was read."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"the program did not end; the screen:\n{self.text()}"
            self._read(LOOK)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        """Whether anything came."""
        if self._master < 0 or not select.select([self._master], [], [], seconds)[0]:
            if self._master < 0:
                time.sleep(seconds)  # a poll of the program's end, without a terminal to wait at
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            time.sleep(seconds)  # the same
            return False
        self.written += data
        self._stream.feed(data)
        return True

    # --- the end ---

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.hang_up()
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        self.process.kill()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(timeout=DEADLINE)


def _take_terminal(slave: int) -> None:
    """In the child, the leader of a new session: get its controlling terminal and signals as a shell's child has."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    os.close(slave)
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)  # pytest may run under nohup or in the background of a shell
