"""Configuration: `SparkConf`, what its keys mean (`settings`), and where their values come from."""

from localcluster.conf.spark_conf import SparkConf

__all__ = ["SparkConf"]
