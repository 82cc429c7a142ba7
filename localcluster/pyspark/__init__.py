"""PySpark's module layout over localcluster: ``import localcluster.pyspark as pyspark``.

All of it is re-exports, so that a second copy under another name is harmless. `localcluster.pyspark_alias` makes
``import pyspark`` mean this.
"""

from localcluster.absent import absent_names
from localcluster.accumulators import Accumulator, AccumulatorParam
from localcluster.broadcast import Broadcast
from localcluster.conf import SparkConf
from localcluster.context import SparkContext
from localcluster.pyspark import (
    accumulators,
    broadcast,
    conf,
    context,
    core,
    errors,
    rdd,
    resultiterable,
    serializers,
    sql,
    statcounter,
    storagelevel,
    taskcontext,
    util,
    version,
)
from localcluster.rdd.rdd import RDD
from localcluster.serializers import CloudPickleSerializer as CPickleSerializer
from localcluster.serializers import MarshalSerializer
from localcluster.sql.row import Row
from localcluster.storage_level import StorageLevel
from localcluster.task_context import TaskContext
from localcluster.util import NO_VALUE as _NoValue
from localcluster.version import SPARK_VERSION as __version__

__all__ = [
    "RDD",
    "Accumulator",
    "AccumulatorParam",
    "Broadcast",
    "CPickleSerializer",
    "MarshalSerializer",
    "SparkConf",
    "SparkContext",
    "StorageLevel",
    "TaskContext",
    "__version__",
]

__getattr__ = absent_names("pyspark", {"HiveContext", "SQLContext"})
