"""RDDs: PySpark's RDD API, one concept per file.

Start with `core` (what an RDD is), `rdd` (the class users see), then `dependency` and `lineage` (what the scheduler
uses). Everything else is either a kind of RDD (``*_rdd``) or one group of methods of the API.
"""
