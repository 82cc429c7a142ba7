"""`ResourceProfile`, which an RDD is given by `RDD.withResources`, and its builder."""

from __future__ import annotations

import threading
from itertools import count

from localcluster.resource.requests import (
    ExecutorResourceRequest,
    ExecutorResourceRequests,
    TaskResourceRequest,
    TaskResourceRequests,
)
from localcluster.task.env import get_env
from protocol.errors import ContextError
from protocol.forks import free_in_forks

_ids = count(1)  # 0 is the default profile's
_lock = free_in_forks(threading.Lock())


class ResourceProfile:
    """What executors and tasks should have. Not to be changed after it was built.

    >>> requests = TaskResourceRequests().cpus(1)
    >>> profile = ResourceProfileBuilder().require(requests).build
    >>> sc.parallelize([1, 2]).withResources(profile).getResourceProfile().taskResources["cpus"].amount
    1.0
    """

    def __init__(
        self,
        _exec_req: dict[str, ExecutorResourceRequest] | None = None,
        _task_req: dict[str, TaskResourceRequest] | None = None,
    ) -> None:
        self._id: int | None = None
        self._executor_resource_requests = _exec_req or {}
        self._task_resource_requests = _task_req or {}

    def __repr__(self) -> str:
        return f"<pyspark.resource.profile.ResourceProfile object at {id(self):#x}>"  # as programs and examples know it

    @property
    def id(self) -> int:
        """A number of its own. Raises RuntimeError while no context runs, as in PySpark."""
        with _lock:
            if self._id is None:
                _require_context()
                self._id = next(_ids)
            return self._id

    @property
    def taskResources(self) -> dict[str, TaskResourceRequest]:
        """{name of the resource: request}"""
        return self._task_resource_requests

    @property
    def executorResources(self) -> dict[str, ExecutorResourceRequest]:
        """{name of the resource: request}"""
        return self._executor_resource_requests


class ResourceProfileBuilder:
    """Gathers requests for a profile."""

    def __init__(self) -> None:
        self._executor_resource_requests: dict[str, ExecutorResourceRequest] = {}
        self._task_resource_requests: dict[str, TaskResourceRequest] = {}

    def require(self, resourceRequest: ExecutorResourceRequests | TaskResourceRequests) -> ResourceProfileBuilder:
        """Add requests; one for the same resource is replaced. Returns the builder itself."""
        if isinstance(resourceRequest, TaskResourceRequests):
            self._task_resource_requests.update(resourceRequest.requests)
        else:
            self._executor_resource_requests.update(resourceRequest.requests)
        return self

    def clearExecutorResourceRequests(self) -> None:
        self._executor_resource_requests = {}

    def clearTaskResourceRequests(self) -> None:
        self._task_resource_requests = {}

    @property
    def taskResources(self) -> dict[str, TaskResourceRequest]:
        """{name of the resource: request}"""
        return self._task_resource_requests

    @property
    def executorResources(self) -> dict[str, ExecutorResourceRequest]:
        """{name of the resource: request}"""
        return self._executor_resource_requests

    @property
    def build(self) -> ResourceProfile:
        """A profile of the requests so far; what the builder is told later does not change it."""
        return ResourceProfile(dict(self._executor_resource_requests), dict(self._task_resource_requests))


def _require_context() -> None:
    try:
        get_env()
    except ContextError:
        raise RuntimeError("SparkContext must be created to get the profile id.") from None
