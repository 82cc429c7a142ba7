"""Not part of this project: importing it raises an ImportError that says what to use."""

from localcluster.base.absent import absent

raise absent("pyspark.pandas", "use pandas itself, in mapPartitions perhaps, or run this program on Apache Spark")
