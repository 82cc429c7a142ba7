"""PySpark's module of this name."""

from localcluster.conf import SparkConf

__all__ = ["SparkConf"]
