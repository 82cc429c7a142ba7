"""PySpark's module of this name."""

from localcluster.base.call_site import CallSite, SCCallSiteSync, first_spark_call
