"""PySpark's older name for `core.broadcast`: the same module."""

import sys

from localcluster.pyspark.core import broadcast

sys.modules[__name__] = broadcast
