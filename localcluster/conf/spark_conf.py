"""`SparkConf`: the settings of an application, as in PySpark. What each key means is in `settings`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, overload

from localcluster.base.no_jvm import NoJVM
from localcluster.conf import system_properties
from localcluster.conf.settings import EXECUTOR_ENVIRONMENT
from protocol.errors import PySparkNotImplementedError, PySparkRuntimeError


class SparkConf:
    """Key-value settings, all of them text. Setters return the conf itself, so that they chain.

    With ``loadDefaults`` it starts from what ``localcluster run`` was told and from `SparkContext.setSystemProperty`.
    ``_jvm`` and ``_jconf`` are there for the sake of PySpark's signature and must be None.

    >>> SparkConf().setMaster("local[2]").setAppName("demo").get("spark.master")
    'local[2]'
    """

    _jconf = NoJVM()

    def __init__(self, loadDefaults: bool = True, _jvm: Any = None, _jconf: Any = None) -> None:
        if _jvm is not None or _jconf is not None:
            raise PySparkNotImplementedError(
                "SparkConf takes neither _jvm nor _jconf: there is no JVM behind localcluster. Use set and setAll."
            )
        self._conf: dict[str, str] = system_properties.settings() if loadDefaults else {}

    def __repr__(self) -> str:
        return f"<pyspark.conf.SparkConf object at {id(self):#x}>"  # as programs and examples know it

    def set(self, key: str, value: str) -> SparkConf:
        """Set a key. Any value becomes its ``str``; any key is kept, also one that has no effect here."""
        self._conf[key] = str(value)
        return self

    def setIfMissing(self, key: str, value: str) -> SparkConf:
        """Set a key unless it is set."""
        return self if key in self._conf else self.set(key, value)

    def setMaster(self, value: str) -> SparkConf:
        return self.set("spark.master", value)

    def setAppName(self, value: str) -> SparkConf:
        return self.set("spark.app.name", value)

    def setSparkHome(self, value: str) -> SparkConf:
        """Kept, with no effect: there is nothing to find there."""
        return self.set("spark.home", value)

    @overload
    def setExecutorEnv(self, key: str, value: str) -> SparkConf: ...
    @overload
    def setExecutorEnv(self, *, pairs: Iterable[tuple[str, str]]) -> SparkConf: ...
    def setExecutorEnv(
        self, key: str | None = None, value: str | None = None, pairs: Iterable[tuple[str, str]] | None = None
    ) -> SparkConf:
        """Set environment variables of executors: one, or all ``pairs``. Raises PySparkRuntimeError for none or both.

        >>> SparkConf(False).setExecutorEnv("LANG", "C").setExecutorEnv(pairs=[("TZ", "UTC")]).getAll()
        [('spark.executorEnv.LANG', 'C'), ('spark.executorEnv.TZ', 'UTC')]
        """
        if (key is None) == (pairs is None):
            raise PySparkRuntimeError(errorClass="KEY_VALUE_PAIR_REQUIRED", messageParameters={})
        chosen = [(key, value)] if pairs is None else pairs
        return self.setAll((f"{EXECUTOR_ENVIRONMENT}{name}", text) for name, text in chosen)  # type: ignore[misc]

    def setAll(self, pairs: Iterable[tuple[str, str]]) -> SparkConf:
        for key, value in pairs:
            self.set(key, value)
        return self

    @overload
    def get(self, key: str) -> str | None: ...
    @overload
    def get(self, key: str, defaultValue: None) -> str | None: ...
    @overload
    def get(self, key: str, defaultValue: str) -> str: ...
    def get(self, key: str, defaultValue: str | None = None) -> str | None:
        """The text of a key, else ``defaultValue``."""
        return self._conf.get(key, defaultValue)

    def getAll(self) -> list[tuple[str, str]]:
        return list(self._conf.items())

    def contains(self, key: str) -> bool:
        return key in self._conf

    def toDebugString(self) -> str:
        """One ``key=value`` per line, sorted, without the values of keys that look like secrets."""
        return "\n".join(f"{key}={redacted(key, value)}" for key, value in sorted(self._conf.items()))


_SECRETS = re.compile("secret|password|token|access[.]?key", re.IGNORECASE)  # as Spark's spark.redaction.regex


def redacted(key: str, value: str) -> str:
    """The value, unless the key looks like a secret's."""
    return "*********(redacted)" if _SECRETS.search(key) else value
