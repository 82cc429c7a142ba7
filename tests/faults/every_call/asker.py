"""Asks the program for runs, one after the other, and judges each: right, or a good error; on time; nothing left."""

from __future__ import annotations

import errno
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import psutil

from localcluster.base.shortage import shortage
from tests.faults.every_call.failing import DIRECTORY, SHORT, Fault
from tests.faults.runs import ROOT
from tests.support import DEADLINE, wait_until

RUN_DEADLINE = 90.0  # seconds: an executor that cannot be started is tried for 30 s, a stop may take 20 s
PROGRAM = Path(__file__).with_name("program.py")


class Case(NamedTuple):
    """A run in which a call fails, or with a plan of faults."""

    mode: str  # library or run
    job: str
    fault: Fault | None = None
    plan: str = ""

    def __str__(self) -> str:
        if self.fault is None:
            return f"{self.job} in {self.mode} mode with {self.plan!r}"
        role, errno, nth, always = self.fault
        return f"{self.job} in {self.mode} mode, {role}: call {nth} {errno} {'from then on' if always else 'once'}"


class Judged(NamedTuple):
    case: Case
    fired: str  # what failed, a line each
    count: int  # calls of the role
    right: bool
    error: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        fired = self.fired.partition("\n")[0] or "not reached"
        return "\n".join([f"{self.case} ({fired})", *self.problems, self.error])


class Asker:
    """A program under test, started again when a run ended it. A context manager: its end looks for what is left."""

    def __init__(self, directory: Path, mode: str) -> None:
        self._mode = mode
        self._directory = directory
        self._temporary = directory / "tmp"
        self._temporary.mkdir(parents=True)
        (directory / "order").write_text("null")
        self._token = f"{os.getpid()}-{directory}"
        self._stderr = open(directory / "stderr", "w+")  # noqa: SIM115 - closed in __exit__
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(self, job: str, fault: Fault | None = None, plan: str = "") -> Judged:
        case = Case(self._mode, job, fault, plan)
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"job": job, "fault": fault, "plan": plan}) + "\n")
        process.stdin.flush()
        try:
            line = self._answers.get(timeout=RUN_DEADLINE)
        except queue.Empty:
            stacks = self._stacks(process)
            self._kill()
            return Judged(case, self._read("fired"), 0, False, stacks, (f"no end within {RUN_DEADLINE} s",))
        if not line:
            return self._ended(case, process)
        return judge(case, json.loads(line), self._errors())

    def _start(self) -> subprocess.Popen[str]:
        environment = os.environ | {
            "TMPDIR": str(self._temporary),
            "PYTHONPATH": str(ROOT),
            DIRECTORY: str(self._directory),
            "EVERY_CALL_RUN": self._token,
        }
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(PROGRAM), self._mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._process = process
        self._answers = queue.SimpleQueue()
        threading.Thread(target=self._read_answers, args=(process, self._answers), daemon=True).start()
        assert self._answers.get(timeout=DEADLINE) == "ready\n", self._errors()
        return process

    @staticmethod
    def _read_answers(process: subprocess.Popen[str], answers: queue.SimpleQueue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            answers.put(line)
        answers.put("")

    def _ended(self, case: Case, process: subprocess.Popen[str]) -> Judged:
        """The run took the program with it, which only the end of the launcher may, by `run`."""
        code = process.wait(DEADLINE)
        errors = self._errors()
        problems = [] if code and case.mode == "run" else [f"the program ended with {code}"]
        problems += _bad_text(case, errors, self._read("fired"))
        problems += [f"left behind: {left}" for left in self._left_at_the_end()]
        self._forget()
        return Judged(case, self._read("fired"), 0, False, errors, tuple(problems))

    def _errors(self) -> str:
        """What came on standard error since this was last asked."""
        written = self._read("stderr")
        self._stderr.seek(0)
        self._stderr.truncate()
        return written

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text()

    def _stacks(self, process: subprocess.Popen[str]) -> str:
        command = [sys.executable, "-m", "localcluster", "dump", str(process.pid)]
        environment = os.environ | {"TMPDIR": str(self._temporary), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    # --- the end ---

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left: list[str] = []
        if self._process is not None and kind is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            assert self._process.wait(DEADLINE) == 0, self._errors()
            left = self._left_at_the_end()
        self._kill()
        self._stderr.close()
        assert left == []

    def _left_at_the_end(self) -> list[str]:
        try:
            wait_until(lambda: not self._living() and not self._files())
        except AssertionError:
            return [*map(str, self._living()), *self._files()]
        return []

    def _living(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("EVERY_CALL_RUN") == self._token and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _files(self) -> list[str]:
        return [str(path) for path in self._temporary.glob("localcluster-*")]

    def _kill(self) -> None:
        for process in self._living():
            process.kill()
        self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait(DEADLINE)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def judge(case: Case, outcome: dict[str, Any], errors: str) -> Judged:
    """What is wrong with how a run ended; ``errors`` is what it wrote on standard error."""
    fired, error = outcome["fired"], outcome["error"]
    problems = []
    if not outcome["right"]:
        problems += [] if outcome["ours"] else ["the error is none of ours"]
        problems += _bad_text(case, error, fired)
    problems += ["a traceback on standard error"] if "Traceback (most recent call last)" in errors else []
    problems += [f"left behind: {left}" for left in outcome["left"]]
    problems += [f"left open: {file}" for file in outcome["files"]]
    details = "".join([error, outcome.get("trace", ""), errors]) if problems else error
    return Judged(case, fired, outcome["count"], outcome["right"], details, tuple(problems))


def _bad_text(case: Case, text: str, fired: str) -> list[str]:
    """An error has to say what the system said, and to name the file if the call that failed had one."""
    if case.fault is None:
        return []  # what it has to say depends on the plan
    if "Barrier execution mode" in text:
        return []  # Spark's wording, for executors that do not come; why they do not is in the log
    if not fired:
        return ["an error, and no call had failed"]
    if case.fault.errno == SHORT:
        return ["a short write is no error"]
    refusal = OSError(getattr(errno, case.fault.errno), os.strerror(getattr(errno, case.fault.errno)))
    if refusal.strerror not in text and (shortage(refusal) or "-") not in text:
        return [f"the error does not say {refusal.strerror!r}"]
    return []
