"""Where the user's code was when it crashed its executor: a segmentation fault in a C extension, say.

The executor has faulthandler write that, as it dies, into the file that takes its stacks (`base.own_stacks`); the
launcher reads it. Covers the thread that crashed. (In Spark ``spark.python.worker.faulthandler.enabled`` asks for it;
here it is always there, since it costs nothing until then.)
"""

from __future__ import annotations

import faulthandler
import os
import re

from localcluster.base.own_frames import OWN_PACKAGES
from localcluster.base.own_stacks import OwnStacks, stack_file
from storage.scratch import Scratch

_CRASH = "Fatal Python error: "  # before it are the stacks that somebody asked for
_FRAME = re.compile(r'  File "(.*)", line \d+ in ')
_RUNS_TASKS = os.path.join("executor", "task_runner.py")  # what called this module is ours


def report_crashes(scratch: Scratch, executor_id: str) -> None:
    """In the executor. What it forks tells of crashes on standard error."""
    stacks = OwnStacks(scratch.primary, _role(executor_id), serves=True)
    if stacks.fd is not None:
        faulthandler.enable(stacks.fd, all_threads=False)


def crash_report(scratch: Scratch, executor_id: str, pid: int) -> str:
    """The frames of the user's code, a line each, the innermost last; nothing when there are none."""
    try:
        with open(stack_file(scratch.primary, _role(executor_id), pid), errors="replace") as file:
            _, crash, text = file.read().rpartition(_CRASH)
    except OSError:  # it ended before it made the file
        return ""
    frames: list[str] = []
    for line in text.splitlines() if crash else ():
        match = _FRAME.match(line)
        if match is not None and match[1].startswith(OWN_PACKAGES):
            if match[1].endswith(_RUNS_TASKS):
                break
        elif match is not None:
            frames.append(line)
    return "\n".join(reversed(frames))


def _role(executor_id: str) -> str:
    return f"executor {executor_id}"
