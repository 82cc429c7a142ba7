"""PySpark's module of this name."""

from localcluster.sql.session_conf import RuntimeConfig

__all__ = ["RuntimeConfig"]
