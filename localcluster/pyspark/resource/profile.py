"""PySpark's module of this name."""

from localcluster.resource.profile import ResourceProfile as ResourceProfile
from localcluster.resource.profile import ResourceProfileBuilder as ResourceProfileBuilder
