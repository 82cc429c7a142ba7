"""PySpark's module layout over localcluster: ``import localcluster.pyspark as pyspark``.

All of it is re-exports, so that a second copy under another name is harmless. `localcluster.pyspark_alias` makes
``import pyspark`` mean this.
"""

from localcluster.absent import absent_names
from localcluster.accumulators import Accumulator, AccumulatorParam
from localcluster.barrier_task_context import BarrierTaskContext, BarrierTaskInfo
from localcluster.broadcast import Broadcast
from localcluster.conf import SparkConf
from localcluster.context import SparkContext
from localcluster.decorators import keyword_only, since
from localcluster.files import SparkFiles
from localcluster.profiler import BasicProfiler, Profiler
from localcluster.pyspark import (
    accumulators,
    broadcast,
    conf,
    context,
    core,
    errors,
    files,
    join,
    profiler,
    rdd,
    rddsampler,
    resource,
    resultiterable,
    serializers,
    shuffle,
    sql,
    statcounter,
    status,
    storagelevel,
    taskcontext,
    traceback_utils,
    util,
    version,
)
from localcluster.rdd.barrier_rdd import RDDBarrier
from localcluster.rdd.rdd import RDD
from localcluster.serializers import CloudPickleSerializer as CPickleSerializer
from localcluster.serializers import MarshalSerializer
from localcluster.sql.row import Row
from localcluster.status import SparkExecutorInfo, SparkJobInfo, SparkStageInfo, StatusTracker
from localcluster.storage_level import StorageLevel
from localcluster.task_context import TaskContext
from localcluster.threads import InheritableThread, inheritable_thread_target
from localcluster.util import NO_VALUE as _NoValue
from localcluster.util import is_remote_only
from localcluster.version import SPARK_VERSION as __version__

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

__getattr__ = absent_names("pyspark", {"HiveContext", "SQLContext"})
