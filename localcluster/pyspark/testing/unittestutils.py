"""PySpark's module of this name."""

from localcluster.testing import main
