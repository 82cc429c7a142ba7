"""PySpark's package of this name."""

from localcluster.pyspark.resource import information, profile, requests
from localcluster.resource import (
    ExecutorResourceRequest,
    ExecutorResourceRequests,
    ResourceInformation,
    ResourceProfile,
    ResourceProfileBuilder,
    TaskResourceRequest,
    TaskResourceRequests,
)

__all__ = [
    "ExecutorResourceRequest",
    "ExecutorResourceRequests",
    "ResourceInformation",
    "ResourceProfile",
    "ResourceProfileBuilder",
    "TaskResourceRequest",
    "TaskResourceRequests",
    "information",
    "profile",
    "requests",
]
