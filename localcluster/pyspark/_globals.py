"""PySpark's module of this name."""

from localcluster.util import NO_VALUE as _NoValue
from localcluster.util import NoValueType as _NoValueType
