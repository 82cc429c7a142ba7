"""What ``import py4j`` finds in a Python process that a ``run --pyspark`` job starts: it gives way to the facade."""

import importlib
import os
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
if _ROOT not in sys.path:
    sys.path.append(_ROOT)  # the job was started in a checkout, with no installed localcluster

from localcluster.base.pyspark_alias import FACADES, install  # noqa: E402 - found by the path above

install()
sys.modules[__name__] = importlib.import_module(FACADES[__name__])
