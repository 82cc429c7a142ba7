"""PySpark's module of this name."""

from localcluster.base.storage_level import StorageLevel
from localcluster.rdd.barrier_rdd import RDDBarrier
from localcluster.rdd.estimates import BoundedFloat
from localcluster.rdd.rdd import RDD, PipelinedRDD
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.rdd.stat_counter import StatCounter
from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner

__all__ = ["RDD"]
