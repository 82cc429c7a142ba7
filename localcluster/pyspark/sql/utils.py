"""PySpark's module of this name."""

from localcluster.compat.util import is_remote
from protocol.errors import SparkException as CapturedException
from protocol.sql_errors import (
    AnalysisException,
    IllegalArgumentException,
    ParseException,
    PythonException,
    QueryExecutionException,
    SparkUpgradeException,
    StreamingQueryException,
    UnknownException,
)
