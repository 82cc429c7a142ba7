"""The version of the package, and that of the PySpark whose API it follows."""

__version__ = "0.1.0"
SPARK_VERSION = "4.3.0"
