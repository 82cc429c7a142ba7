"""Where the user's code was when it crashed its executor: a segmentation fault in a C extension, say.

The executor has faulthandler write that into a file of the scratch space as it dies; the launcher reads it. Covers the
thread that crashed. (In Spark ``spark.python.worker.faulthandler.enabled`` asks for it; here it is always there, since
it costs nothing until then.)
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import re
from functools import partial

from localcluster.base.own_frames import OWN_PACKAGES
from storage.scratch import Scratch

log = logging.getLogger(__name__)

_FRAME = re.compile(r'  File "(.*)", line \d+ in ')
_RUNS_TASKS = os.path.join("executor", "task_runner.py")  # what called this module is ours


def report_crashes(scratch: Scratch, executor_id: str) -> None:
    """In the executor. What it forks tells of crashes on standard error."""
    try:
        fd = os.open(_path(scratch, executor_id), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.debug("a crash of executor %s will not be explained: %s", executor_id, error)
        return
    faulthandler.enable(fd, all_threads=False)
    os.register_at_fork(after_in_child=partial(_to_standard_error, fd))


def crash_report(scratch: Scratch, executor_id: str) -> str:
    """The frames of the user's code, a line each, the innermost last; nothing when there are none."""
    try:
        with open(_path(scratch, executor_id), errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:  # it ended before it made the file
        return ""
    frames: list[str] = []
    for line in lines:
        match = _FRAME.match(line)
        if match is not None and match[1].startswith(OWN_PACKAGES):
            if match[1].endswith(_RUNS_TASKS):
                break
        elif match is not None:
            frames.append(line)
    return "\n".join(reversed(frames))


def _path(scratch: Scratch, executor_id: str) -> str:
    return os.path.join(scratch.primary, f"crash-{executor_id}")


def _to_standard_error(fd: int) -> None:
    with contextlib.suppress(OSError):  # it is closed
        os.dup2(2, fd, inheritable=False)
