"""PySpark's module of this name."""

from localcluster import accumulators
from localcluster.accumulators import Accumulator, AccumulatorParam
from localcluster.broadcast import Broadcast
from localcluster.conf import SparkConf
from localcluster.context import SparkContext
from localcluster.files import SparkFiles
from localcluster.profiler import BasicProfiler, MemoryProfiler, ProfilerCollector, UDFBasicProfiler
from localcluster.rdd.rdd import RDD
from localcluster.resource.information import ResourceInformation
from localcluster.status import StatusTracker
from localcluster.storage_level import StorageLevel
from localcluster.task_context import TaskContext

__all__ = ["SparkContext"]
