"""One run of a job in a process of its own, and what came of it: output, exit code, files, and what it left behind.

Covers running under a plan of faults with a deadline, and comparing two outcomes. Which plans, and how often, is
``chaos``'s business.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from localcluster.launcher.forking import die_with_parent
from localcluster.trials.leaks import Run, is_alive, runs

OUT = "{out}"  # in a job's arguments: a new directory for each run, whose files are compared
GRACE = 10.0  # seconds for what a run leaves to go away by itself
POLL = 0.05  # seconds

# So that a round takes seconds where a real cluster would wait for minutes. The user's own settings win.
IMPATIENT = {
    "spark.executor.heartbeatInterval": "500ms",
    "spark.network.timeout": "8s",
    "spark.task.reaper.killTimeout": "3s",
}


@dataclass(frozen=True)
class Outcome:
    """What came of one run. ``code`` is None when it did not end by the deadline and was killed."""

    code: int | None
    stdout: bytes
    stderr: str
    files: dict[str, bytes] = field(repr=False)  # {path in the output directory: contents}
    left: tuple[str, ...] = ()  # processes and files that were there still after GRACE
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """A job as it is given to ``localcluster run``. ``options`` are those of ``run``, the job's words follow."""

    options: tuple[str, ...]
    words: tuple[str, ...]

    def command(self, rules: Sequence[str], seed: int, out: str = OUT) -> list[str]:
        """The command that runs it under these rules."""
        inject = [word for rule in rules for word in ("--inject", rule)]
        settings = {**IMPATIENT, "localcluster.faults.seed": str(seed)} if rules else IMPATIENT
        conf = [word for key, text in settings.items() for word in ("--conf", f"{key}={text}")]
        words = [word.replace(OUT, out) for word in self.words]
        return [sys.executable, "-m", "localcluster", "run", *conf, *self.options, *inject, *words]

    def shown(self, rules: Sequence[str], seed: int) -> str:
        """The same for people, to repeat it: what it writes goes to a directory here."""
        return shlex.join(["python", *self.command(rules, seed, "chaos-out")[1:]])

    def run(self, rules: Sequence[str], seed: int, deadline: float) -> Outcome:
        """Run it to its end, or for ``deadline`` seconds and kill it."""
        with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
            temporary, out = Path(directory, "tmp"), Path(directory, "out")
            temporary.mkdir()
            return _run(self.command(rules, seed, str(out)), temporary, out, deadline)


def _run(command: list[str], temporary: Path, out: Path, deadline: float) -> Outcome:
    started, runs_before = time.monotonic(), set(runs())
    mark = f"LOCALCLUSTER_CHAOS={temporary}"
    environment = os.environ | {"TMPDIR": str(temporary), "LOCALCLUSTER_CHAOS": str(temporary)}
    with open(temporary.parent / "stdout", "w+b") as stdout, open(temporary.parent / "stderr", "w+b") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),  # a group of its own is nobody else's to end
        )
        code: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(deadline)
        finally:
            _kill_group(process.pid)  # the janitor, which is in a session of its own, cleans up then
            process.wait()
        seconds = time.monotonic() - started
        left = _await_nothing_left(mark, temporary, runs_before)
        for marked in _marked(mark):
            with contextlib.suppress(psutil.NoSuchProcess):
                marked.kill()
        stdout.seek(0)
        stderr.seek(0)
        return Outcome(code, stdout.read(), stderr.read().decode(errors="replace"), _files(out), left, seconds)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _files(directory: Path) -> dict[str, bytes]:
    paths = directory.rglob("*") if directory.is_dir() else [directory]
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(paths) if path.is_file()}


# --- what is left ----------------------------------------------------------------------------------------------------


def _await_nothing_left(mark: str, temporary: Path, runs_before: set[object]) -> tuple[str, ...]:
    until = time.monotonic() + GRACE
    left = _left(mark, temporary, runs_before)
    while left and time.monotonic() < until:
        time.sleep(POLL)
        now = _left(mark, temporary, runs_before)
        left = tuple(each for each in now if each in left)  # what came since is of others on this machine
    return left


def _left(mark: str, temporary: Path, runs_before: set[object]) -> tuple[str, ...]:
    processes = [f"process {process.pid} ({process.name()})" for process in _marked(mark)]
    new = {run: path for run, path in runs().items() if run not in runs_before}
    shared = [path for run, path in new.items() if isinstance(run, Run) and not is_alive(run)]
    return (*processes, *shared, *map(str, temporary.glob("localcluster-*")))


def _marked(mark: str) -> list[psutil.Process]:
    """The processes that descend from a run: they have its environment. Zombies have none, and nobody to wait for."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if mark.encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                process.name()
                found.append(process)
    return found


# --- comparing -------------------------------------------------------------------------------------------------------

Compare = Callable[[Outcome, Outcome], str | None]
"""(undisturbed, disturbed) -> what differs, None if nothing does."""


def difference(undisturbed: Outcome, disturbed: Outcome) -> str | None:
    """In exit code, standard output or files."""
    if disturbed.code != undisturbed.code:
        return f"exit code {disturbed.code} instead of {undisturbed.code}\n{last_lines(disturbed.stderr)}"
    if disturbed.stdout != undisturbed.stdout:
        return f"standard output\n{_first_change(undisturbed.stdout, disturbed.stdout)}"
    for name in sorted(undisturbed.files.keys() | disturbed.files.keys()):
        before, after = undisturbed.files.get(name), disturbed.files.get(name)
        if before is None or after is None:
            return f"file {name} is {'missing' if after is None else 'new'}"
        if before != after:
            return f"file {name}\n{_first_change(before, after)}"
    return None


def last_lines(text: str) -> str:
    """Indented."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-15:])


def _first_change(before: bytes, after: bytes) -> str:
    old, new = before.splitlines(), after.splitlines()
    for number, (one, other) in enumerate(zip(old, new, strict=False), 1):
        if one != other:
            return f"    line {number}: {one[:200]!r}\n    became: {other[:200]!r}"
    return f"    {len(old)} lines became {len(new)}"
