"""The version of the PySpark whose API this package follows."""

SPARK_VERSION = "4.3.0"
