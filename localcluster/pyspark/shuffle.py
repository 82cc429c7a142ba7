"""PySpark's module of this name: `localcluster.external` itself, whose counts change."""

import sys

from localcluster import external

sys.modules[__name__] = external
