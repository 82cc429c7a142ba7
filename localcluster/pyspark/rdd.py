"""PySpark's older name for `core.rdd`: the same module."""

import sys

from localcluster.pyspark.core import rdd

sys.modules[__name__] = rdd
