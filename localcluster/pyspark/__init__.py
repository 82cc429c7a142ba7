"""PySpark's module layout over localcluster: ``import localcluster.pyspark as pyspark``.

All of it is re-exports, so that a second copy under another name is harmless. `localcluster.base.pyspark_alias` makes
``import pyspark`` mean this.
"""

from localcluster.api.context import SparkContext
from localcluster.api.files import SparkFiles
from localcluster.api.status import SparkExecutorInfo, SparkJobInfo, SparkStageInfo, StatusTracker
from localcluster.base import absent_modules
from localcluster.base.absent import absent_names
from localcluster.base.spark_version import SPARK_VERSION as __version__
from localcluster.base.storage_level import StorageLevel
from localcluster.compat.decorators import keyword_only, since
from localcluster.compat.threads import InheritableThread, inheritable_thread_target
from localcluster.compat.util import NO_VALUE as _NoValue
from localcluster.compat.util import is_remote_only
from localcluster.conf import SparkConf
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

absent_modules.install()
__getattr__ = absent_names("pyspark", {"HiveContext", "SQLContext"})
