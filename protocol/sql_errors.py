"""PySpark's exceptions of SQL: names that programs catch. Of these, reading text files and session settings raise some.

Does not cover the rest of PySpark's family, which is in `protocol.errors`.
"""

from __future__ import annotations

import enum

from protocol.errors import SparkException


class QueryContextType(enum.Enum):
    """What a `QueryContext` is about."""

    SQL = 0
    DataFrame = 1


class QueryContext:
    """Where in a query an exception arose: the type, for annotations. There are no queries here."""


class AnalysisException(SparkException):
    """A path to read does not exist, or a setting cannot be changed in a session."""


class SparkNoSuchElementException(SparkException):
    """A session has no such setting."""


class IllegalArgumentException(SparkException):
    """An argument that SQL does not accept."""

    java_class = "java.lang.IllegalArgumentException"


class ParseException(AnalysisException):
    """SQL that cannot be parsed; never raised here."""


class TempTableAlreadyExistsException(AnalysisException):
    """A view exists already; never raised here."""


class NumberFormatException(IllegalArgumentException):
    """A text that is no number; never raised here."""


class ArithmeticException(SparkException):
    """SQL arithmetic failed; never raised here."""


class ArrayIndexOutOfBoundsException(SparkException):
    """An SQL array is shorter; never raised here."""


class DateTimeException(SparkException):
    """A date that SQL does not accept; never raised here."""


class PickleException(SparkException):
    """The JVM could not read a pickle; never raised here."""


class PythonException(SparkException):
    """A Python function of SQL failed; never raised here."""


class QueryExecutionException(SparkException):
    """A query failed; never raised here."""


class SessionNotSameException(SparkException):
    """Two sessions were mixed; never raised here."""


class SparkRuntimeException(SparkException):
    """A query failed at run time; never raised here."""


class SparkUpgradeException(SparkException):
    """A query means something else since an upgrade; never raised here."""


class StreamingPythonRunnerInitializationException(SparkException):
    """A streaming function could not be started; never raised here."""


class StreamingQueryException(SparkException):
    """A streaming query ended badly; never raised here."""


class UnknownException(SparkException):
    """An exception of the JVM that PySpark does not know; never raised here."""


class UnsupportedOperationException(SparkException):
    """SQL does not support the operation; never raised here."""
