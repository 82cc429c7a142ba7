"""PySpark's module of this name."""

from localcluster.accumulators import Accumulator, AccumulatorParam
from localcluster.broadcast import Broadcast
from localcluster.conf import SparkConf
from localcluster.context import SparkContext
from localcluster.rdd.rdd import RDD
from localcluster.task_context import TaskContext

__all__ = ["SparkContext"]
