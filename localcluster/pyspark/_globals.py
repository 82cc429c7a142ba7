"""PySpark's module of this name."""

from localcluster.compat.util import NO_VALUE as _NoValue
from localcluster.compat.util import NoValueType as _NoValueType
