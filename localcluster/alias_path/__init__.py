"""A directory for PYTHONPATH, in which ``import pyspark`` and ``import py4j`` find the facade. See `pyspark_alias`."""
