"""PySpark's module of this name."""

from localcluster.rdd.stat_counter import StatCounter
