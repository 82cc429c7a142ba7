"""PySpark's package of this name: where its core modules are since Spark 4."""
