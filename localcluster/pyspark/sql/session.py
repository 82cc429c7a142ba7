"""PySpark's module of this name."""

from localcluster.sql.session import SparkSession

__all__ = ["SparkSession"]
