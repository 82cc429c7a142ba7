"""PySpark's copy of the library cloudpickle: here, the library itself."""

import sys

import cloudpickle

sys.modules[__name__] = cloudpickle
