"""What PySpark has and this project does not: the error for modules and names that a program imports all the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NoReturn

from protocol.errors import PySparkImportError

USE_RDDS = "use RDDs, or run this program on Apache Spark"


def absent(name: str, instead: str = USE_RDDS) -> PySparkImportError:
    """The error for importing ``name``: a module of PySpark, or a name in one."""
    return PySparkImportError(f"{name} is not part of localcluster, which has PySpark's RDD API: {instead}")


def absent_names(module: str, names: Collection[str]) -> Callable[[str], NoReturn]:
    """A module's ``__getattr__``: these names of PySpark's module raise a PySparkImportError, others are unknown."""

    def get_attribute(name: str) -> Any:
        if name in names:
            raise absent(f"{module}.{name}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get_attribute
