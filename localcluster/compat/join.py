"""Joins as functions, which PySpark has in its ``join`` module."""

from localcluster.rdd.rdd import RDD

python_join = RDD.join
python_left_outer_join = RDD.leftOuterJoin
python_right_outer_join = RDD.rightOuterJoin
python_full_outer_join = RDD.fullOuterJoin
