"""PySpark's package of this name."""
