"""PySpark's module of this name."""

from localcluster.base.storage_level import StorageLevel

__all__ = ["StorageLevel"]
