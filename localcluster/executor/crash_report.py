"""What an executor leaves for the message about its end: where the user's code was when it crashed its executor, by a
segmentation fault in a C extension, say, or the error for which it ended itself.

It is written, as it dies, into the file that takes its stacks (`base.own_stacks`), for a crash by faulthandler; the
launcher reads it. Pipes may be what is broken. Covers the thread that crashed. (In Spark
``spark.python.worker.faulthandler.enabled`` asks for it; here it is always there, since it costs nothing until then.)
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import traceback

from localcluster.base.own_frames import OWN_PACKAGES
from localcluster.base.own_stacks import OwnStacks, stack_file
from storage import os_layer
from storage.scratch import Scratch

_CRASH = "Fatal Python error: "  # before it are the stacks that somebody asked for
_ERROR = "Ended by: "
_MAX_ERROR = 4000  # characters
_FRAME = re.compile(r'  File "(.*)", line \d+ in ')
_RUNS_TASKS = os.path.join("executor", "task_runner.py")  # what called this module is ours

_stacks: OwnStacks | None = None  # of this process


def report_crashes(scratch: Scratch, executor_id: str) -> None:
    """In the executor. What it forks tells of crashes on standard error."""
    global _stacks
    _stacks = OwnStacks(scratch.primary, _role(executor_id), serves=True)
    if _stacks.fd is not None:
        faulthandler.enable(_stacks.fd, all_threads=False)


def report_error(error: BaseException) -> None:
    """In the executor, which ends for this error now."""
    if _stacks is not None and _stacks.fd is not None:
        text = "".join(traceback.format_exception_only(error)).strip()[:_MAX_ERROR]
        with contextlib.suppress(OSError):  # the disk is full: the exit code has to do
            os_layer.write_all(_stacks.fd, f"{_ERROR}{text}".encode(errors="replace"))


def crash_report(scratch: Scratch, executor_id: str, pid: int) -> str:
    """The frames of the user's code, a line each, the innermost last; nothing when there are none."""
    _, crash, text = _written(scratch, executor_id, pid).rpartition(_CRASH)
    frames: list[str] = []
    for line in text.splitlines() if crash else ():
        match = _FRAME.match(line)
        if match is not None and match[1].startswith(OWN_PACKAGES):
            if match[1].endswith(_RUNS_TASKS):
                break
        elif match is not None:
            frames.append(line)
    return "\n".join(reversed(frames))


def reported_error(scratch: Scratch, executor_id: str, pid: int) -> str:
    """The error for which it ended, as the last line of a traceback; nothing when it did not say so."""
    _, told, error = _written(scratch, executor_id, pid).rpartition(_ERROR)
    return error if told else ""


def _written(scratch: Scratch, executor_id: str, pid: int) -> str:
    try:
        with open(stack_file(scratch.primary, _role(executor_id), pid), errors="replace") as file:
            return file.read()
    except OSError:  # it ended before it made the file
        return ""


def _role(executor_id: str) -> str:
    return f"executor {executor_id}"
