"""PySpark's older name for `core.status`: the same module."""

import sys

from localcluster.pyspark.core import status

sys.modules[__name__] = status
