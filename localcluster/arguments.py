"""What a program passes to our methods: checks at the call, whose errors name the method and its parameter.

Without them a wrong argument shows only in a task, or in a method that it was handed on to.
"""

from __future__ import annotations

import os
from typing import TypeAlias

from protocol.errors import PySparkTypeError

PathLike: TypeAlias = "str | os.PathLike[str]"


def path_text(path: object, parameter: str) -> str:
    """A path as text: a str, or what an ``os.PathLike`` stands for. Raises PySparkTypeError for anything else.

    >>> from pathlib import Path
    >>> path_text(Path("/tmp/data"), "path of textFile")
    '/tmp/data'
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise PySparkTypeError(f"{parameter} must be a str or an os.PathLike of str, not {type(path).__name__}")
    return text
