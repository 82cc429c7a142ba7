"""PySpark's module of this name."""

from localcluster.loose_version import LooseVersion
