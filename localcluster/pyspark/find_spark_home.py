"""There is no Spark home: importing this raises an ImportError."""

from localcluster.base.absent import absent

raise absent("pyspark.find_spark_home", "there is no Spark installation to find")
