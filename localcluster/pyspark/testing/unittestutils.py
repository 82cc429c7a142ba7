"""PySpark's module of this name."""

from localcluster.compat.testing import main
