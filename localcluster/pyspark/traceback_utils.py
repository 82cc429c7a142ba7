"""PySpark's module of this name."""

from localcluster.rdd.call_site import CallSite, SCCallSiteSync, first_spark_call
