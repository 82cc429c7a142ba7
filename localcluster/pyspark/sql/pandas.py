"""Not part of this project: importing it raises an ImportError that says what to use."""

from localcluster.base.absent import absent

raise absent("pyspark.sql.pandas")
