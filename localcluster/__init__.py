"""localcluster: Spark-style jobs on one machine, Python processes only. The API is PySpark's RDD API.

Names are loaded when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from localcluster.neighbours import require_own_packages
from localcluster.version import __version__

require_own_packages()

if TYPE_CHECKING:
    from localcluster.accumulators import Accumulator, AccumulatorParam
    from localcluster.barrier_task_context import BarrierTaskContext, BarrierTaskInfo
    from localcluster.broadcast import Broadcast
    from localcluster.conf import SparkConf
    from localcluster.context import SparkContext
    from localcluster.files import SparkFiles
    from localcluster.profiler import BasicProfiler, Profiler
    from localcluster.rdd.barrier_rdd import RDDBarrier
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers import CPickleSerializer, MarshalSerializer
    from localcluster.status import SparkExecutorInfo, SparkJobInfo, SparkStageInfo, StatusTracker
    from localcluster.storage_level import StorageLevel
    from localcluster.task_context import TaskContext
    from localcluster.threads import InheritableThread, inheritable_thread_target

__all__ = [
    "RDD",
    "Accumulator",
    "AccumulatorParam",
    "BarrierTaskContext",
    "BarrierTaskInfo",
    "BasicProfiler",
    "Broadcast",
    "CPickleSerializer",
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
    "Accumulator": "localcluster.accumulators",
    "AccumulatorParam": "localcluster.accumulators",
    "BarrierTaskContext": "localcluster.barrier_task_context",
    "BarrierTaskInfo": "localcluster.barrier_task_context",
    "BasicProfiler": "localcluster.profiler",
    "Broadcast": "localcluster.broadcast",
    "CPickleSerializer": "localcluster.serializers",
    "MarshalSerializer": "localcluster.serializers",
    "Profiler": "localcluster.profiler",
    "RDD": "localcluster.rdd.rdd",
    "RDDBarrier": "localcluster.rdd.barrier_rdd",
    "InheritableThread": "localcluster.threads",
    "SparkConf": "localcluster.conf",
    "SparkContext": "localcluster.context",
    "SparkExecutorInfo": "localcluster.status",
    "SparkFiles": "localcluster.files",
    "SparkJobInfo": "localcluster.status",
    "SparkStageInfo": "localcluster.status",
    "StatusTracker": "localcluster.status",
    "StorageLevel": "localcluster.storage_level",
    "TaskContext": "localcluster.task_context",
    "inheritable_thread_target": "localcluster.threads",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'localcluster' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
