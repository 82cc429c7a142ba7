"""PySpark's module of this name."""

from localcluster.storage_level import StorageLevel

__all__ = ["StorageLevel"]
