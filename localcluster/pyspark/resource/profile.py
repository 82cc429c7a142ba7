"""PySpark's module of this name."""

from localcluster.resource.profile import ResourceProfile as ResourceProfile
from localcluster.resource.profile import ResourceProfileBuilder as ResourceProfileBuilder
from localcluster.resource.requests import ExecutorResourceRequests as ExecutorResourceRequests
from localcluster.resource.requests import TaskResourceRequests as TaskResourceRequests
