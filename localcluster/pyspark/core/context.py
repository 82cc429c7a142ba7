"""PySpark's module of this name."""

from localcluster.api.context import SparkContext
from localcluster.api.files import SparkFiles
from localcluster.api.status import StatusTracker
from localcluster.base.storage_level import StorageLevel
from localcluster.conf import SparkConf
from localcluster.rdd.rdd import RDD
from localcluster.task import accumulators
from localcluster.task.accumulators import Accumulator, AccumulatorParam
from localcluster.task.broadcast import Broadcast
from localcluster.task.profiler import BasicProfiler, MemoryProfiler, ProfilerCollector, UDFBasicProfiler
from localcluster.task.resource_information import ResourceInformation
from localcluster.task.task_context import TaskContext

__all__ = ["SparkContext"]
