"""`Builder`: ``SparkSession.builder``, which gathers settings and then finds or makes a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localcluster.api.context import SparkContext
from localcluster.base.no_data_frames import no_data_frames
from localcluster.conf import SparkConf
from localcluster.conf.settings import ENTRIES
from localcluster.sql.session_conf import as_text

if TYPE_CHECKING:
    from localcluster.sql.session import SparkSession


class Builder:
    """Each method but the last returns the builder itself.

    >>> spark = SparkSession.builder.master("local[2]").appName("demo").getOrCreate()  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._options: dict[str, str] = {}

    def appName(self, name: str) -> Builder:
        return self.config("spark.app.name", name)

    def master(self, master: str) -> Builder:
        return self.config("spark.master", master)

    def remote(self, url: str) -> Builder:
        raise no_data_frames("SparkSession.builder", "remote", "make a session of this machine with master()")

    def enableHiveSupport(self) -> Builder:
        """Has no effect: there are no tables here."""
        return self

    def config(
        self,
        key: str | None = None,
        value: Any = None,
        conf: SparkConf | None = None,
        *,
        map: Mapping[str, Any] | None = None,
    ) -> Builder:
        """One setting, those of a SparkConf, or those of a mapping."""
        if conf is not None:
            self._options.update(conf.getAll())
        elif map is not None:
            self._options.update({name: as_text(text) for name, text in map.items()})
        elif key is not None:
            self._options[key] = as_text(value)
        return self

    def getOrCreate(self) -> SparkSession:
        """The session in use if there is one, with these settings added; else a new one, in the active context or a
        new one.

        Raises ContextError inside a task, and what `SparkContext` raises.
        """
        from localcluster.sql.session import SparkSession

        with SparkContext._lock:
            session = SparkSession.getActiveSession()
            if session is None:
                session = SparkSession(SparkContext.getOrCreate(SparkConf().setAll(self._options.items())))
                SparkSession._instantiatedSession = session
            self._apply(session)
            return session

    def create(self) -> SparkSession:
        """A new session in the active context, or in a new one."""
        from localcluster.sql.session import SparkSession

        session = SparkSession(SparkContext.getOrCreate(SparkConf().setAll(self._options.items())))
        self._apply(session)
        return session

    def _apply(self, session: SparkSession) -> None:
        """As in Spark, settings that the running context has read already are left alone."""
        for key, text in self._options.items():
            if key not in ENTRIES or session.conf.isModifiable(key):
                session.conf.set(key, text)
