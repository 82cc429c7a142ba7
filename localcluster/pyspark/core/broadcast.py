"""PySpark's module of this name."""

from localcluster.task.broadcast import Broadcast

__all__ = ["Broadcast"]
