"""PySpark's package of this name, for test suites of RDD programs."""

from localcluster.absent import absent_names
from localcluster.testing import main

__all__ = ["main"]

__getattr__ = absent_names("pyspark.testing", {"assertDataFrameEqual", "assertSchemaEqual"})
