"""What a master string asks for: ``local``, ``local[4]``, ``local[4, 2]``, ``local[*]``,
``local-cluster[2,1,1024]``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from localcluster.conf.settings import Settings
from protocol.errors import ConfigurationError

_LOCAL = re.compile(r"local(?:\[\s*([0-9]+|\*)\s*(?:,\s*([0-9]+)\s*)?\])?")
_LOCAL_CLUSTER = re.compile(r"local-cluster\[\s*([0-9]+)\s*,\s*([0-9]+)\s*,\s*([0-9]+)\s*\]")
MOST_CORES = 4096  # in all; a slip of the pen should not fork until the machine gives up


@dataclass(frozen=True)
class Layout:
    """How many executors of how many cores, how many attempts a task has, and how many cores it takes."""

    executors: int
    cores: int
    max_failures: int
    task_cpus: int = 1

    @property
    def slots(self) -> int:
        """Tasks that an executor runs at once."""
        return self.cores // self.task_cpus

    def master(self, memory: int) -> str:
        """The master string of a cluster like this one with so many bytes of memory for an executor, for programs that
        gave none. A later context may be given it.
        """
        if self.cores > 1:
            return f"local-cluster[{self.executors},{self.cores},{memory >> 20}]"
        return "local[*]" if self.executors == available_cores() else f"local[{self.executors}]"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def layout(conf: Mapping[str, str]) -> Layout:
    """What the settings ask for. Explicit numbers of executors, cores and failures win over the master's.

    Raises ConfigurationError for a master that is not understood, for a task that needs more cores than there are, and
    for more than MOST_CORES.
    """
    executors, cores, failures = _from_master(conf.get("spark.master"))
    settings = Settings(conf)
    cpus = settings.task_cpus
    if "spark.executor.cores" in conf:
        cores = settings.executor_cores
    elif memory_from_master(conf.get("spark.master")) is None and 1 < cpus <= executors:
        executors, cores = executors // cpus, cpus  # Spark has the master's cores in one process, we in as many
    if cores < cpus:
        raise ConfigurationError(
            f"The number of cores per executor (={cores}) has to be >= the number of cpus per task = {cpus}."
        )
    if settings.executor_instances is not None:
        executors = settings.executor_instances
    elif settings.cores_max is not None:
        executors = max(1, min(executors, settings.cores_max // cores))
    if executors * cores > MOST_CORES:
        raise ConfigurationError(
            f"{executors} executors of {cores} cores are too many: each executor is a process of this machine and each "
            f"core a thread; {MOST_CORES} cores in all are the limit."
        )
    if failures is None or "spark.task.maxFailures" in conf:
        failures = settings.task_max_failures
    return Layout(executors, cores, failures, cpus)


def _from_master(master: str | None) -> tuple[int, int, int | None]:
    if master is None:
        return available_cores(), 1, None
    if match := _LOCAL.fullmatch(master.strip()):
        threads, failures = match.groups()
        executors = 1 if threads is None else available_cores() if threads == "*" else int(threads)
        # As in Spark: a local master does not retry unless it says how often.
        counts: tuple[int, int, int | None] = executors, 1, int(failures) if failures else 1
    elif match := _LOCAL_CLUSTER.fullmatch(master.strip()):
        counts = int(match[1]), int(match[2]), None
    else:
        counts = 0, 0, None
    if any(number is not None and number < 1 for number in counts):
        raise ConfigurationError(
            f"Could not parse Master URL: {master!r}: spark.master must be local, local[N], local[N, F], local[*] or "
            f"local-cluster[N,C,M] with numbers above 0, not {master!r}. All executors are processes of this machine; "
            "without a master there is one per core."
        )
    return counts


def memory_from_master(master: str | None) -> str | None:
    """The executor memory that ``local-cluster[N,C,M]`` names, in Spark's notation."""
    match = _LOCAL_CLUSTER.fullmatch(master.strip()) if master else None
    return f"{match[3]}m" if match else None
