"""PySpark's module of this name."""

from storage.storage_level import StorageLevel

__all__ = ["StorageLevel"]
