"""PySpark's package of this name, for test suites of RDD programs."""

from localcluster.base.absent import absent_names
from localcluster.compat.testing import main

__all__ = ["main"]

__getattr__ = absent_names("pyspark.testing", {"assertDataFrameEqual", "assertSchemaEqual"})
