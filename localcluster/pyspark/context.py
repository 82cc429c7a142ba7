"""PySpark's older name for `core.context`: the same module."""

import sys

from localcluster.pyspark.core import context

sys.modules[__name__] = context
