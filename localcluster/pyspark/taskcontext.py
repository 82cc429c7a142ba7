"""PySpark's module of this name."""

from localcluster.task_context import TaskContext
