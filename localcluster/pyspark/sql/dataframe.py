"""PySpark's module of this name."""

from localcluster.sql.data_frame import DataFrame

__all__ = ["DataFrame"]
