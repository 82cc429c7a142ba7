"""PySpark's module of this name."""

from localcluster.compat.loose_version import LooseVersion
