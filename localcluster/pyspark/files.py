"""PySpark's older name for `core.files`: the same module."""

import sys

from localcluster.pyspark.core import files

sys.modules[__name__] = files
