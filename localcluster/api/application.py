"""`Application`: the methods of a context that say what it is: settings, names, numbers of cores, system properties.

Does not cover starting and stopping, which is `SparkContext`'s own. What was set is in `info`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from localcluster.api.info import ApplicationInfo
from localcluster.base.spark_version import SPARK_VERSION
from localcluster.conf import SparkConf, settings, system_properties
from localcluster.conf.logs import set_own_level
from localcluster.ui.status_page import StatusPage
from protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from localcluster.ui import status_store


class Application:
    """Methods of `SparkContext`."""

    _info: ApplicationInfo
    _page: StatusPage
    master: str
    appName: str

    def __repr__(self) -> str:
        return f"<SparkContext master={self.master} appName={self.appName}>"

    def _repr_html_(self) -> str:
        """What a notebook shows, with a link to the status page if there is one."""
        from html import escape  # not with the module, which every driver imports

        address = self.uiWebUrl
        link = f'<p><a href="{address}">Spark UI</a></p>' if address is not None else ""
        return (
            f"<div><p><b>SparkContext</b></p>{link}<dl><dt>Version</dt><dd><code>v{self.version}</code></dd>"
            f"<dt>Master</dt><dd><code>{escape(self.master)}</code></dd>"
            f"<dt>AppName</dt><dd><code>{escape(self.appName)}</code></dd></dl></div>"
        )

    @property
    def uiWebUrl(self) -> str | None:
        """Address of the page that shows what the application does; None if ``spark.ui.enabled`` is false, and once
        the context is stopped. The page exists from the first time that somebody asks for it.

        Raises SparkException when all ports that it may have are taken.
        """
        return self._page.url()

    def _on_page(self) -> status_store.ApplicationRecord:
        """What the page says that it is about."""
        from localcluster.ui import status_store  # only with a page

        info = self._info
        settings = dict(info.conf.getAll())
        return status_store.ApplicationRecord(info.id, self.appName, self.sparkUser(), info.started, settings)

    @property
    def conf(self) -> SparkConf:
        """The settings. Changing them has no effect on a context that runs."""
        return self._info.conf

    def getConf(self) -> SparkConf:
        """A copy of the settings, with ``spark.app.id`` and the like added."""
        return SparkConf(loadDefaults=False).setAll(self._info.conf.getAll())

    @property
    def version(self) -> str:
        """Version of the Spark whose API this follows; ``localcluster.__version__`` is localcluster's own."""
        return SPARK_VERSION

    @property
    def resources(self) -> dict[str, Any]:
        """Always empty: one machine has no resource discovery."""
        return {}

    @property
    def defaultParallelism(self) -> int:
        """Partitions of a collection when the program does not say: the cores of all executors, unless configured."""
        configured = settings.Settings(self._info.conf).default_parallelism
        return configured or self._info.layout.executors * self._info.layout.cores

    @property
    def defaultMinPartitions(self) -> int:
        """Least partitions of a file when the program does not say."""
        return min(self.defaultParallelism, 2)

    def sparkUser(self) -> str:
        """Who runs the application: the environment's SPARK_USER, else the user of this process."""
        return os.environ.get("SPARK_USER") or system_properties.user_name()

    def setLogLevel(self, logLevel: str) -> None:
        """Level of localcluster's log records, and of those of tasks whose stages start from now on. As in Spark: ALL,
        DEBUG, ERROR, FATAL, INFO, OFF, TRACE or WARN.

        Tasks log at the level of the driver's root logger if that lets more through. Raises ConfigurationError for
        another name.
        """
        level = settings.SPARK_LEVELS.get(logLevel.upper())
        if level is None:
            names = ",".join(settings.SPARK_LEVELS)
            raise ConfigurationError(f"Supplied level {logLevel} did not match one of: {names}")
        set_own_level(level)

    @classmethod
    def setSystemProperty(cls, key: str, value: str) -> None:
        """Set a property of this process; ``spark.…`` ones become defaults of every `SparkConf` made from now on.

        >>> SparkContext.setSystemProperty("spark.app.name", "demo")
        >>> SparkConf().get("spark.app.name")
        'demo'
        """
        system_properties.set_property(key, value)

    @classmethod
    def getSystemProperty(cls, key: str) -> str | None:
        """A property set before, or one of the system's (``user.name``, ``user.dir``, ``java.io.tmpdir``, …), else
        None.
        """
        return system_properties.get_property(key)
