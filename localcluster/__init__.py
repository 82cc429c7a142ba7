"""localcluster: Spark-style jobs on one machine, Python processes only. The API is PySpark's RDD API.

Names are loaded when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from localcluster import moved
from localcluster.neighbours import require_own_packages
from localcluster.version import __version__

require_own_packages()
moved.install()

if TYPE_CHECKING:
    from localcluster.api.context import SparkContext
    from localcluster.api.files import SparkFiles
    from localcluster.api.status import SparkExecutorInfo, SparkJobInfo, SparkStageInfo, StatusTracker
    from localcluster.base.storage_level import StorageLevel
    from localcluster.cache.cache import Cache
    from localcluster.compat.threads import InheritableThread, inheritable_thread_target
    from localcluster.conf import SparkConf
    from localcluster.digests.content import FileState
    from localcluster.futures.cluster_executor import ClusterExecutor
    from localcluster.rdd.barrier_rdd import RDDBarrier
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers import CPickleSerializer, MarshalSerializer
    from localcluster.task.accumulators import Accumulator, AccumulatorParam
    from localcluster.task.barrier_task_context import BarrierTaskContext, BarrierTaskInfo
    from localcluster.task.broadcast import Broadcast
    from localcluster.task.profiler import BasicProfiler, Profiler
    from localcluster.task.task_context import TaskContext

__all__ = [
    "RDD",
    "Accumulator",
    "AccumulatorParam",
    "BarrierTaskContext",
    "BarrierTaskInfo",
    "BasicProfiler",
    "Broadcast",
    "CPickleSerializer",
    "Cache",
    "ClusterExecutor",
    "FileState",
    "InheritableThread",
    "MarshalSerializer",
    "Profiler",
    "RDDBarrier",
    "SparkConf",
    "SparkContext",
    "SparkExecutorInfo",
    "SparkFiles",
    "SparkJobInfo",
    "SparkStageInfo",
    "StatusTracker",
    "StorageLevel",
    "TaskContext",
    "__version__",
    "inheritable_thread_target",
]

_HOMES = {
    "Accumulator": "localcluster.task.accumulators",
    "AccumulatorParam": "localcluster.task.accumulators",
    "BarrierTaskContext": "localcluster.task.barrier_task_context",
    "BarrierTaskInfo": "localcluster.task.barrier_task_context",
    "BasicProfiler": "localcluster.task.profiler",
    "Broadcast": "localcluster.task.broadcast",
    "Cache": "localcluster.cache.cache",
    "CPickleSerializer": "localcluster.serializers",
    "ClusterExecutor": "localcluster.futures.cluster_executor",
    "FileState": "localcluster.digests.content",
    "MarshalSerializer": "localcluster.serializers",
    "Profiler": "localcluster.task.profiler",
    "RDD": "localcluster.rdd.rdd",
    "RDDBarrier": "localcluster.rdd.barrier_rdd",
    "InheritableThread": "localcluster.compat.threads",
    "SparkConf": "localcluster.conf",
    "SparkContext": "localcluster.api.context",
    "SparkExecutorInfo": "localcluster.api.status",
    "SparkFiles": "localcluster.api.files",
    "SparkJobInfo": "localcluster.api.status",
    "SparkStageInfo": "localcluster.api.status",
    "StatusTracker": "localcluster.api.status",
    "StorageLevel": "localcluster.base.storage_level",
    "TaskContext": "localcluster.task.task_context",
    "inheritable_thread_target": "localcluster.compat.threads",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'localcluster' has no attribute {name!r}")
    require_own_packages()  # pytest, for one, puts directories of tests first in the search path only now
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
