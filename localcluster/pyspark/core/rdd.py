"""PySpark's module of this name."""

from localcluster.rdd.barrier_rdd import RDDBarrier
from localcluster.rdd.estimates import BoundedFloat
from localcluster.rdd.hashing import portable_hash
from localcluster.rdd.partitioner import Partitioner
from localcluster.rdd.rdd import RDD, PipelinedRDD
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.rdd.stat_counter import StatCounter
from localcluster.shuffle.aggregator import Aggregator
from localcluster.storage_level import StorageLevel

__all__ = ["RDD"]
