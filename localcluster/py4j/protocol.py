"""``py4j.protocol``: what PySpark programs catch when a job fails."""

from protocol.errors import ClusterError as Py4JNetworkError
from protocol.errors import SparkException as Py4JError
from protocol.errors import SparkException as Py4JJavaError
