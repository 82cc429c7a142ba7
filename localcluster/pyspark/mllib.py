"""Not part of this project: importing it raises an ImportError that says what to use."""

from localcluster.base.absent import absent

raise absent("pyspark.mllib", "use scikit-learn and the like in mapPartitions, or run this program on Apache Spark")
