"""PySpark's module of this name."""

from localcluster.broadcast import Broadcast

__all__ = ["Broadcast"]
