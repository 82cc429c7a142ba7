"""``localcluster.storage_level``, as programs import it."""

from localcluster.base.storage_level import StorageLevel

__all__ = ["StorageLevel"]
