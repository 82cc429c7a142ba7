"""`SparkSession`: how PySpark programs get at their context, and its `Builder`, which gathers settings for one.

SQL and DataFrames are not part of this: any other attribute raises NoDataFramesError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localcluster.api.context import SparkContext
from localcluster.base.no_data_frames import no_data_frames
from localcluster.base.spark_version import SPARK_VERSION
from localcluster.conf import SparkConf
from localcluster.conf.settings import ENTRIES
from localcluster.sql.reader import DataFrameReader
from localcluster.sql.session_conf import RuntimeConfig, as_text
from localcluster.task.task_context import TaskContext
from protocol.errors import ContextError, PySparkRuntimeError

if TYPE_CHECKING:
    from types import TracebackType


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
        with SparkContext._lock:
            session = SparkSession.getActiveSession()
            if session is None:
                session = SparkSession(SparkContext.getOrCreate(SparkConf().setAll(self._options.items())))
                SparkSession._instantiatedSession = session
            self._apply(session)
            return session

    def create(self) -> SparkSession:
        """A new session in the active context, or in a new one."""
        session = SparkSession(SparkContext.getOrCreate(SparkConf().setAll(self._options.items())))
        self._apply(session)
        return session

    def _apply(self, session: SparkSession) -> None:
        """As in Spark, settings that the running context has read already are left alone."""
        for key, text in self._options.items():
            if key not in ENTRIES or session.conf.isModifiable(key):
                session.conf.set(key, text)


class _NewBuilder:
    """Gives ``SparkSession.builder``: a new one each time, so that one program's settings are not another's."""

    def __get__(self, instance: SparkSession | None, owner: type[SparkSession]) -> Builder:
        return Builder()


class SparkSession:
    """A context with settings of its own. ``jsparkSession`` is PySpark's parameter for a JVM object: None here.

    Usable as a context manager, which stops the context at the end.
    """

    Builder = Builder
    builder = _NewBuilder()
    _instantiatedSession: SparkSession | None = None

    def __init__(
        self, sparkContext: SparkContext, jsparkSession: None = None, options: dict[str, Any] | None = None
    ) -> None:
        self._sc = sparkContext
        self.conf = RuntimeConfig(dict(sparkContext.getConf().getAll()))
        for key, value in (options or {}).items():
            self.conf.set(key, value)
        if SparkSession._usable() is None:
            SparkSession._instantiatedSession = self

    @classmethod
    def _usable(cls) -> SparkSession | None:
        """The session made first, while its context runs."""
        session = cls._instantiatedSession
        return None if session is None or session._sc is not SparkContext._active_spark_context else session

    @classmethod
    def getActiveSession(cls) -> SparkSession | None:
        """The session that `Builder.getOrCreate` would return, if there is one. Raises ContextError inside a task."""
        if TaskContext.get() is not None:
            raise ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER")
        return cls._usable()

    @classmethod
    def active(cls) -> SparkSession:
        """The same; raises PySparkRuntimeError when there is none."""
        session = cls.getActiveSession()
        if session is None:
            raise PySparkRuntimeError(errorClass="NO_ACTIVE_OR_DEFAULT_SESSION", messageParameters={})
        return session

    def newSession(self) -> SparkSession:
        """Another session of the same context, with the context's settings."""
        return SparkSession(self._sc)

    @property
    def sparkContext(self) -> SparkContext:
        return self._sc

    @property
    def version(self) -> str:
        """Version of the Spark whose API this follows."""
        return SPARK_VERSION

    @property
    def read(self) -> DataFrameReader:
        """A reader of text files."""
        return DataFrameReader(self)

    def stop(self) -> None:
        """Stop the context."""
        self._sc.stop()

    def __enter__(self) -> SparkSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __reduce__(self) -> Any:
        raise ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER")

    def __getattr__(self, name: str) -> Any:
        raise no_data_frames("SparkSession", name, "use spark.sparkContext and its RDDs")
