"""PySpark's module of this name."""

from localcluster.files import SparkFiles

__all__ = ["SparkFiles"]
