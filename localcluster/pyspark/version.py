"""PySpark's module of this name."""

from localcluster.base.spark_version import SPARK_VERSION as __version__
