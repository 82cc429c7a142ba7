"""PySpark's module of this name."""

from localcluster.rdd.partitioner import Partitioner, portable_hash
from localcluster.rdd.rdd import RDD
from localcluster.rdd.rdd import PipelinedRDD as PipelinedRDD
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.rdd.stat_counter import StatCounter
from localcluster.shuffle.aggregator import Aggregator

__all__ = ["RDD"]
