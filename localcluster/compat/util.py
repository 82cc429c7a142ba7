"""Small helpers of PySpark's ``util`` that programs use. Does not cover what deals with its JVM and its sockets."""

from __future__ import annotations

import functools
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from protocol.errors import RDDError

JVM_BYTE_MIN = -(1 << 7)
JVM_BYTE_MAX = (1 << 7) - 1
JVM_SHORT_MIN = -(1 << 15)
JVM_SHORT_MAX = (1 << 15) - 1
JVM_INT_MIN = -(1 << 31)
JVM_INT_MAX = (1 << 31) - 1
JVM_LONG_MIN = -(1 << 63)
JVM_LONG_MAX = (1 << 63) - 1

_MEBIBYTES = {"t": 1 << 20, "g": 1 << 10, "m": 1, "k": 1 / 1024}


class VersionUtils:
    """Reading Spark's version numbers."""

    @staticmethod
    def majorMinorVersion(sparkVersion: str) -> tuple[int, int]:
        """Raises ValueError for what is no version of Spark.

        >>> VersionUtils.majorMinorVersion("2.3.0-SNAPSHOT")
        (2, 3)
        """
        match = re.fullmatch(r"(\d+)\.(\d+)(\..*)?", sparkVersion)
        if match is None:
            raise ValueError(
                f"Spark tried to parse '{sparkVersion}' as a Spark version string, but it could not find the major "
                f"and minor version numbers."
            )
        return int(match[1]), int(match[2])


def fail_on_stopiteration(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, with a StopIteration that it raises made an RDDError: in a loop it would end the records silently."""

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except StopIteration as error:
            raise RDDError(errorClass="STOP_ITERATION_OCCURRED", messageParameters={"exc": str(error)}) from error

    return wrapper


def parse_memory(s: str) -> int:
    """Mebibytes of a size as Java writes it. Raises ValueError when it has no unit.

    >>> parse_memory("2g")
    2048
    """
    unit = s[-1:].lower()
    if unit not in _MEBIBYTES:
        raise ValueError(f"invalid format: {s}")
    return int(float(s[:-1]) * _MEBIBYTES[unit])


def print_exec(stream: TextIO) -> None:
    """Write the exception that is being handled, with its traceback."""
    traceback.print_exception(*sys.exc_info(), file=stream)


def is_remote_only() -> bool:
    """Always False: Spark Connect is not part of this."""
    return False


def is_remote() -> bool:
    """Always False: Spark Connect is not part of this."""
    return False


class PythonEvalType:
    """Kinds of Python functions: of PySpark's, only those of RDDs exist here."""

    NON_UDF = 0


class NoValueType:
    """The type of `NO_VALUE`, which stands for an argument that was not given."""

    def __repr__(self) -> str:
        return "<no value>"


NO_VALUE = NoValueType()
