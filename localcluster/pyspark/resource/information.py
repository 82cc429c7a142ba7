"""PySpark's module of this name."""

from localcluster.task.resource_information import ResourceInformation as ResourceInformation
