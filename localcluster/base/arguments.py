"""What a program passes to our methods: checks at the call, whose errors name the parameter and the method.

Without them a wrong argument shows only in a task, or in a method that it was handed on to. What PySpark's own Python
code refuses at the call, with an error of its own, is left to the methods. The checks run in loops of programs, so what
they cost where all is well is one call.
"""

from __future__ import annotations

import os
from operator import index
from typing import Any, TypeAlias

from protocol.errors import PySparkTypeError

PathLike: TypeAlias = "str | os.PathLike[str]"


def path_text(path: object, parameter: str) -> str:
    """A path as text: a str, or what an ``os.PathLike`` stands for. Raises PySparkTypeError for anything else.

    >>> from pathlib import Path
    >>> path_text(Path("/tmp/data"), "path")
    '/tmp/data'
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise wrong_type(path, parameter, "a str or an os.PathLike of str")
    return text


def check_function(f: object, parameter: str) -> None:
    """Raises PySparkTypeError unless ``f`` can be called."""
    if not callable(f):
        raise wrong_type(f, parameter, "a function")


def check_optional_function(f: object, parameter: str) -> None:
    """The same, but that None will do: as a key, or, as in PySpark, as the merging function where nothing is merged."""
    if f is not None and not callable(f):
        raise wrong_type(f, parameter, "a function or None")


def check_number(number: object, parameter: str) -> None:
    """Raises PySparkTypeError unless it is a real number: an int, a float, numpy's, a Fraction, a Decimal."""
    if not hasattr(number, "__float__"):
        raise wrong_type(number, parameter, "a number")


def whole_number(number: Any, parameter: str) -> int:
    """The int that an int, or numpy's, stands for. Raises PySparkTypeError for anything else, also for a bool."""
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise wrong_type(number, parameter, "a whole number")
    return index(number)


def check_type(value: object, kinds: type | tuple[type, ...], parameter: str, wanted: str) -> None:
    """Raises PySparkTypeError, which says that ``wanted`` is wanted, unless the value is of one of the ``kinds``."""
    if not isinstance(value, kinds):
        raise wrong_type(value, parameter, wanted)


def wrong_type(
    value: object, parameter: str, wanted: str, kind: type[PySparkTypeError] = PySparkTypeError
) -> PySparkTypeError:
    """The error for an argument of the method that the program has called."""
    from localcluster.base.call_site import first_spark_call

    method = first_spark_call().function
    return kind(f"{parameter} of {method} must be {wanted}, not {type(value).__name__}")
