"""PySpark's module of this name."""

from localcluster.resource.requests import ExecutorResourceRequest as ExecutorResourceRequest
from localcluster.resource.requests import ExecutorResourceRequests as ExecutorResourceRequests
from localcluster.resource.requests import TaskResourceRequest as TaskResourceRequest
from localcluster.resource.requests import TaskResourceRequests as TaskResourceRequests
