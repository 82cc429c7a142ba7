"""Processes that a task forks and that come back into our code: they end there, as a Python program ends.

`run_task` has them end before they report. What they would have changed on their way there, if they go on with the
parent's partition, calls `protocol.forks.stop_strays`. Does not cover what a fork may use (`protocol.forks`,
`broadcast`) nor forks that never come back, such as those of ``multiprocessing``.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from types import TracebackType
from typing import NoReturn

from localcluster.base.standard_streams import flush_standard_streams
from localcluster.task import task_context
from protocol.forks import set_end_of_strays

_is_stray = False


class ForksEndHere:
    """``with ForksEndHere():`` a process that was forked in the body ends at the body's end, with its exception."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _is_stray:
            _end(error)


def expect_forks() -> None:
    """In an executor: Python 3.12 and later warn a task that forks of threads, but these are ours and made for it."""
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of ", DeprecationWarning)


def stay() -> None:
    """This process goes on by itself: it makes a context of its own."""
    global _is_stray
    _is_stray = False
    set_end_of_strays(None)


def _forked() -> None:
    global _is_stray
    if task_context._running:
        _is_stray = True
        set_end_of_strays(lambda: _end(sys.exc_info()[1]))  # what it was leaving with, if it was


def _end(error: BaseException | None) -> NoReturn:
    """End this process without its exit handlers, which are the parent's."""
    code = 1
    try:
        code = _exit_code(error)
        flush_standard_streams()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


os.register_at_fork(after_in_child=_forked)
