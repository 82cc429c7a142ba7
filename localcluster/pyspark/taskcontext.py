"""PySpark's module of this name."""

from localcluster.task.barrier_task_context import BarrierTaskContext as BarrierTaskContext
from localcluster.task.barrier_task_context import BarrierTaskInfo as BarrierTaskInfo
from localcluster.task.resource_information import ResourceInformation as ResourceInformation
from localcluster.task.task_context import TaskContext as TaskContext
