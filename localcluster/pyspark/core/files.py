"""PySpark's module of this name."""

from localcluster.api.files import SparkFiles

__all__ = ["SparkFiles"]
