"""PySpark's module of this name."""

from localcluster.resource.information import ResourceInformation as ResourceInformation
