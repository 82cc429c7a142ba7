"""What executors and tasks should have: single requests, and sets of them that are built up step by step."""

from __future__ import annotations

from localcluster.conf.settings import parse_bytes


class ExecutorResourceRequest:
    """So much of one resource for each executor."""

    def __init__(self, resourceName: str, amount: int, discoveryScript: str = "", vendor: str = "") -> None:
        self._name = resourceName
        self._amount = amount
        self._discovery_script = discoveryScript
        self._vendor = vendor

    @property
    def resourceName(self) -> str:
        return self._name

    @property
    def amount(self) -> int:
        """Of memory: MiB."""
        return self._amount

    @property
    def discoveryScript(self) -> str:
        """A program that would print which ones there are."""
        return self._discovery_script

    @property
    def vendor(self) -> str:
        return self._vendor


class ExecutorResourceRequests:
    """Requests for executors, by resource. Each method returns the object itself.

    Amounts of memory are written as Spark writes them (``512m``, ``2g``; a bare number is MiB); a text that is none
    raises ValueError.

    >>> requests = ExecutorResourceRequests().cores(2).memory("6g").resource("gpu", 1)
    >>> requests.requests["memory"].amount
    6144
    """

    def __init__(self) -> None:
        self._requests: dict[str, ExecutorResourceRequest] = {}

    def memory(self, amount: str) -> ExecutorResourceRequests:
        return self._add("memory", _mebibytes(amount))

    def memoryOverhead(self, amount: str) -> ExecutorResourceRequests:
        return self._add("memoryOverhead", _mebibytes(amount))

    def pysparkMemory(self, amount: str) -> ExecutorResourceRequests:
        return self._add("pyspark.memory", _mebibytes(amount))

    def offheapMemory(self, amount: str) -> ExecutorResourceRequests:
        return self._add("offHeap", _mebibytes(amount))

    def cores(self, amount: int) -> ExecutorResourceRequests:
        return self._add("cores", amount)

    def resource(
        self, resourceName: str, amount: int, discoveryScript: str = "", vendor: str = ""
    ) -> ExecutorResourceRequests:
        """A resource of any other name."""
        return self._add(resourceName, amount, discoveryScript, vendor)

    @property
    def requests(self) -> dict[str, ExecutorResourceRequest]:
        """{name of the resource: request}"""
        return self._requests

    def _add(self, name: str, amount: int, script: str = "", vendor: str = "") -> ExecutorResourceRequests:
        self._requests[name] = ExecutorResourceRequest(name, amount, script, vendor)
        return self


class TaskResourceRequest:
    """So much of one resource for each task; 0.5 means that two tasks share one."""

    def __init__(self, resourceName: str, amount: float) -> None:
        self._name = resourceName
        self._amount = float(amount)

    @property
    def resourceName(self) -> str:
        return self._name

    @property
    def amount(self) -> float:
        return self._amount


class TaskResourceRequests:
    """Requests for tasks, by resource. Each method returns the object itself.

    >>> TaskResourceRequests().cpus(2).resource("gpu", 0.5).requests["cpus"].amount
    2.0
    """

    def __init__(self) -> None:
        self._requests: dict[str, TaskResourceRequest] = {}

    def cpus(self, amount: float) -> TaskResourceRequests:
        return self.resource("cpus", amount)

    def resource(self, resourceName: str, amount: float) -> TaskResourceRequests:
        """A resource of any other name."""
        self._requests[resourceName] = TaskResourceRequest(resourceName, amount)
        return self

    @property
    def requests(self) -> dict[str, TaskResourceRequest]:
        """{name of the resource: request}"""
        return self._requests


def _mebibytes(amount: str) -> int:
    try:
        return parse_bytes(amount, unit="m") >> 20
    except ValueError:
        raise ValueError(f"invalid format: {amount}") from None
