"""Records and functions that the odd cases share, and how their outcomes are written down."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

NAN = math.nan
INF = math.inf
# No strings where keys are hashed: their hash is another in each process, but for those with PYTHONHASHSEED set.
MIXED = [3, 1.5, True, None, 2**70, (2, (3,)), (1, None), 1, 1.0, -0.0, 0, False]
PAIRS = [(2.5, 1), (7, 2), (2.5, 3), (None, 4), (None, 5), (1, 6), (True, 7), (1.0, 8)]


class CountedDown:
    """An old-fashioned sequence: iterable by ``__getitem__`` only."""

    def __getitem__(self, index: int) -> int:
        if index >= 3:
            raise IndexError(index)
        return 3 - index


def stop(*arguments: Any) -> Any:
    raise StopIteration("user's")


def fail_at(limit: int) -> Callable[[Any], Any]:
    def check(x: Any) -> Any:
        if x >= limit:
            raise ValueError(f"bad record {x}")
        return x

    return check


def partly(records: Any) -> Any:
    """Yields two records, then fails."""
    for number, record in enumerate(records):
        if number == 2:
            raise LookupError("after two")
        yield record


def lists(rdd: Any) -> Any:
    """Grouped values as lists, partition by partition."""
    return rdd.mapValues(list).glom().collect()


def sides(rdd: Any) -> Any:
    return rdd.mapValues(lambda groups: [list(group) for group in groups]).glom().collect()


def show(value: Any) -> str:
    """A text of a result that tells types apart: 1, True and 1.0, lists and tuples, dict and defaultdict."""
    if isinstance(value, dict):
        items = ", ".join(f"{show(k)}: {show(v)}" for k, v in value.items())
        return f"{type(value).__name__}({items})"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}({', '.join(map(show, value))})"
    return repr(float(value)) if isinstance(value, float) else repr(value)  # numpy's floats too


def outcome(case: Callable[[Any], Any], sc: Any) -> tuple[str, Any]:
    """``("value", text)`` or ``("error", exception)``."""
    try:
        return "value", show(case(sc))
    except Exception as error:
        return "error", error


def described(error: BaseException) -> list[str]:
    """Class and message of an error of real PySpark; if it came through the JVM, of what the task raised."""
    text = str(error)
    if type(error).__name__ != "Py4JJavaError":
        return [type(error).__name__, text]
    # Java's own stack comes after Python's traceback, and errors that an error caused come after it.
    raised = re.findall(
        r"^(?:: )?(?:\w+\.)*(\w*(?:[eE]rror|Exception|StopIteration))(?:: (.*))?$",
        text.split("\n\tat ")[0],
        re.MULTILINE,
    )
    if "Traceback" in text:
        raised = [pair for pair in raised if pair[0] != "PythonException"]
    return list(raised[-1]) if raised else ["Py4JJavaError", text]
