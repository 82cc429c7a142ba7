"""Where in the user's program an RDD, a job or a context came from: ``"reduceByKey at job.py:12"``."""

from __future__ import annotations

import os
import sys
import threading
import typing
from typing import NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOT_THE_USERS = (_PACKAGE, typing.__file__)  # the latter calls the constructors of generic classes
_chosen = threading.local()


class CallSite(NamedTuple):
    """A method of ours, and from where the user's program called it."""

    function: str
    file: str
    linenum: int


def first_spark_call() -> CallSite:
    """The method of ours that the user called, and the user's file and line."""
    frame = sys._getframe(1)
    method = frame.f_code.co_name
    while frame.f_back is not None:
        method = frame.f_code.co_name
        frame = frame.f_back
        if not frame.f_code.co_filename.startswith(_NOT_THE_USERS):
            break
    return CallSite(method, frame.f_code.co_filename, frame.f_lineno)


def call_site() -> str:
    """The same in short, or what a `SCCallSiteSync` has set for this thread."""
    chosen: str | None = getattr(_chosen, "site", None)
    if chosen is not None:
        return chosen
    site = first_spark_call()
    return f"{site.function} at {site.file}:{site.linenum}"


class SCCallSiteSync:
    """``with SCCallSiteSync(sc):``: RDDs and jobs that this thread makes inside are said to come from that line.

    Inside another one, the outer one's line counts.
    """

    def __init__(self, sc: object) -> None:
        self._call_site = call_site()

    def __enter__(self) -> None:
        self._before = getattr(_chosen, "site", None)
        _chosen.site = self._call_site

    def __exit__(self, *_: object) -> None:
        _chosen.site = self._before
