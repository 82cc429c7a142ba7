"""Saying what resources an RDD's tasks and executors should have: PySpark's ``pyspark.resource``.

These are records. On one machine nothing can be provided on demand, so no profile changes where or how tasks run.
"""

from localcluster.resource.profile import ResourceProfile, ResourceProfileBuilder
from localcluster.resource.requests import (
    ExecutorResourceRequest,
    ExecutorResourceRequests,
    TaskResourceRequest,
    TaskResourceRequests,
)
from localcluster.task.resource_information import ResourceInformation

__all__ = [
    "ExecutorResourceRequest",
    "ExecutorResourceRequests",
    "ResourceInformation",
    "ResourceProfile",
    "ResourceProfileBuilder",
    "TaskResourceRequest",
    "TaskResourceRequests",
]
