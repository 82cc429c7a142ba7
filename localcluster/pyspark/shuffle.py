"""PySpark's module of this name: `localcluster.compat.external` itself, whose counts change."""

import sys

from localcluster.compat import external

sys.modules[__name__] = external
