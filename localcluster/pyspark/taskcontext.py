"""PySpark's module of this name."""

from localcluster.barrier_task_context import BarrierTaskContext as BarrierTaskContext
from localcluster.barrier_task_context import BarrierTaskInfo as BarrierTaskInfo
from localcluster.resource.information import ResourceInformation as ResourceInformation
from localcluster.task_context import TaskContext as TaskContext
