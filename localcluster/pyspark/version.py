"""PySpark's module of this name."""

from localcluster.version import SPARK_VERSION as __version__
