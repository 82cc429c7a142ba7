"""PySpark's module of this name."""

from localcluster.rdd.result_iterable import ResultIterable

__all__ = ["ResultIterable"]
