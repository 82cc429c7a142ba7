"""Not part of this project: importing it raises an ImportError that says what to use."""

from localcluster.base.absent import absent

raise absent("pyspark.java_gateway", "there is no JVM behind localcluster, only Python processes")
