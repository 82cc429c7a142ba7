"""Calls of plain functions on a context's executors, for programs that know `concurrent.futures` or joblib and no RDDs.

`cluster_executor` is what programs use, `joblib_backend` what joblib uses; both are jobs of the context underneath.
"""
