"""`InheritableThread` and `inheritable_thread_target`: threads that start with the local properties of another.

An ordinary thread starts without properties, job groups, tags and pools. Follows ``pyspark.util``.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

from localcluster.api.context import SparkContext
from protocol.errors import PySparkAssertionError


class InheritableThread(threading.Thread):
    """A thread that starts with the local properties that the thread which calls `start` has at that moment.

    >>> sc.setLocalProperty("spark.scheduler.pool", "reports")
    >>> thread = InheritableThread(target=lambda: print(sc.getLocalProperty("spark.scheduler.pool")))
    >>> thread.start()
    >>> thread.join()
    reports
    >>> sc.setLocalProperty("spark.scheduler.pool", None)
    """

    def __init__(self, target: Callable[..., Any], *args: Any, session: Any = None, **kwargs: Any) -> None:
        """As `threading.Thread`. ``session`` is accepted, as in PySpark; tags of jobs are inherited with it or without
        it.
        """

        @functools.wraps(target)
        def with_properties(*target_args: Any, **target_kwargs: Any) -> Any:
            _set_properties(self._props)
            return target(*target_args, **target_kwargs)

        super().__init__(*args, target=with_properties, **kwargs)  # type: ignore[misc]  # positional: PySpark's quirk

    def start(self) -> None:
        """Start the thread."""
        self._props = _properties()
        super().start()


def inheritable_thread_target(f: Any) -> Callable[..., Any]:
    """Wrap a thread's target: it will run with the local properties that the calling thread has now.

    With a session in place of the function, a decorator that does this. Without one there is PySpark's warning; tags
    of jobs are inherited in either case. Raises PySparkAssertionError when ``f`` is neither.
    """
    properties = _properties()

    def inherit(target: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(target)
        def with_properties(*args: Any, **kwargs: Any) -> Any:
            _set_properties(properties)
            return target(*args, **kwargs)

        return with_properties

    if hasattr(f, "sparkContext"):
        return inherit
    if not callable(f):
        raise PySparkAssertionError(f"inheritable_thread_target takes a function or a session, not {f!r}.")
    warnings.warn("Spark session is not provided. Tags will not be inherited.", UserWarning, stacklevel=2)
    return inherit(f)


def _properties() -> dict[str, str]:
    """Of the calling thread. None before there is a context: then such threads are ordinary ones."""
    context = SparkContext._active_spark_context
    return {} if context is None else context._jobs.properties.copy()


def _set_properties(properties: dict[str, str]) -> None:
    context = SparkContext._active_spark_context
    if context is not None:
        context._jobs.properties.replace(properties)
