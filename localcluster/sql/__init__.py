"""As much of PySpark's ``sql`` as RDD programs use: `SparkSession`, `Row`, ``read.text(...).rdd``.

SQL and DataFrames are not part of this project: whatever else is asked for raises an error that says what to use.
"""
