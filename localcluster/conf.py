"""`SparkConf`: the settings of an application, as in PySpark. What each key means is in `settings`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import overload

from localcluster.settings import ENTRIES, EXECUTOR_ENVIRONMENT, EXTERNAL_STORE_OPTIONS

__all__ = ["ENTRIES", "SparkConf"]

log = logging.getLogger(__name__)

_submitted: dict[str, str] = {}
_warned: set[str] = set()


def submit(settings: dict[str, str]) -> None:
    """`run` mode: settings of the command line, which every `SparkConf` with defaults starts from."""
    _submitted.update(SparkConf(loadDefaults=False).setAll(settings.items()).getAll())  # which warns of unknown keys


class SparkConf:
    """Key-value settings. Setters return the conf itself, so that they chain.

    >>> SparkConf().setMaster("local[2]").setAppName("demo").get("spark.master")
    'local[2]'
    """

    def __init__(self, loadDefaults: bool = True) -> None:
        self._conf: dict[str, str] = dict(_submitted) if loadDefaults else {}

    def set(self, key: str, value: str) -> SparkConf:
        """Set a key. An unknown ``spark.*`` key is kept and warned of once."""
        self._conf[key] = str(value)
        known = (
            key in ENTRIES
            or not key.startswith(("spark.", "localcluster."))
            or key.startswith((EXTERNAL_STORE_OPTIONS, EXECUTOR_ENVIRONMENT))
        )
        if not known and key not in _warned:
            _warned.add(key)
            log.warning("%s has no effect here; see docs/configuration.md for the keys that have", key)
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
        """One ``key=value`` per line, sorted."""
        return "\n".join(f"{key}={value}" for key, value in sorted(self._conf.items()))
