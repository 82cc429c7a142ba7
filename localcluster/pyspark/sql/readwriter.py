"""PySpark's module of this name."""

from localcluster.sql.reader import DataFrameReader

__all__ = ["DataFrameReader"]
