"""Where in the user's program an RDD or a job came from: ``"reduceByKey at job.py:12"``."""

from __future__ import annotations

import os
import sys

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def call_site() -> str:
    """The method of ours that the user called, and the user's file and line."""
    frame = sys._getframe(1)
    method = frame.f_code.co_name
    while frame.f_back is not None:
        method = frame.f_code.co_name
        frame = frame.f_back
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            break
    return f"{method} at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
