"""PySpark's module of this name: joins as functions of two RDDs and a number of partitions."""

from localcluster.compat.join import (
    python_full_outer_join,
    python_join,
    python_left_outer_join,
    python_right_outer_join,
)
