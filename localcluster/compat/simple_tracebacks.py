"""Tracebacks without the frames of this package that lead to the user's: `try_simplify_traceback`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile
from types import TracebackType

from localcluster.base.own_frames import OWN_PACKAGES


def walk_tb(tb: TracebackType | None) -> Iterator[TracebackType]:
    """The entries of a traceback, outermost first."""
    while tb is not None:
        yield tb
        tb = tb.tb_next


def try_simplify_traceback(tb: TracebackType | None) -> TracebackType | None:
    """A copy of the traceback from the first frame on that is not this package's; None when all are."""
    users = dropwhile(lambda entry: entry.tb_frame.f_code.co_filename.startswith(OWN_PACKAGES), walk_tb(tb))
    simple = None
    for entry in reversed(list(users)):
        simple = TracebackType(simple, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return simple
