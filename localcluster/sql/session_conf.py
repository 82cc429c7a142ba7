"""`RuntimeConfig`: ``spark.conf``, the settings of a session."""

from __future__ import annotations

from typing import Any

from localcluster.conf.settings import ENTRIES
from protocol.errors import PySparkTypeError
from protocol.sql_errors import AnalysisException, SparkNoSuchElementException

_OF_SQL = "spark.sql."
_NO_DEFAULT: Any = object()


class RuntimeConfig:
    """Starts as the context's settings. Keys that the running context has read cannot be changed."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings

    def set(self, key: str, value: str | int | bool) -> None:
        """Raises AnalysisException for a key that only a new context would read, PySparkTypeError for another type of
        value.
        """
        self._require_modifiable(key)
        self._settings[key] = as_text(value)

    def get(self, key: str, default: str | None = _NO_DEFAULT) -> str | None:
        """The text of a key. Raises SparkNoSuchElementException when it is not set and there is no default."""
        if key in self._settings:
            return self._settings[key]
        if default is _NO_DEFAULT:
            raise SparkNoSuchElementException(errorClass="SQL_CONF_NOT_FOUND", messageParameters={"sqlConf": key})
        return default

    @property
    def getAll(self) -> dict[str, str]:
        return dict(self._settings)

    def unset(self, key: str) -> None:
        """Forget a key. Raises AnalysisException as `set` does."""
        self._require_modifiable(key)
        self._settings.pop(key, None)

    def isModifiable(self, key: str) -> bool:
        """Whether setting the key means something: as in Spark, for keys of SQL that can change while it runs."""
        return key.startswith(_OF_SQL)

    def _require_modifiable(self, key: str) -> None:
        if key in ENTRIES and not self.isModifiable(key):
            raise AnalysisException(errorClass="CANNOT_MODIFY_CONFIG", messageParameters={"key": f'"{key}"'})


def as_text(value: Any) -> str:
    """A value of a setting as Spark writes it. Raises PySparkTypeError unless it is text, a number or a bool."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise PySparkTypeError(f"the value of a setting has to be a str, int, float or bool, not {type(value)}")
    return str(value)
