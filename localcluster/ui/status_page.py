"""`StatusPage`: the part of a context that has a web page. What is on it is in ``routes``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from localcluster.conf import SparkConf, settings

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from localcluster.ui.server import StatusServer


class StatusPage:
    """A part of `SparkContext`."""

    applicationId: str
    appName: str
    startTime: int
    sparkUser: Callable[[], str]
    _cluster: Cluster
    _conf: SparkConf
    _parts: ExitStack
    _pid: int
    _stopping: threading.RLock
    _status_server: StatusServer | None = None

    @property
    def uiWebUrl(self) -> str | None:
        """Address of the page that shows what the application does; None if ``spark.ui.enabled`` is false, and once
        the context is stopped.

        The page exists from the first time somebody asks for its address, so that contexts which nobody looks at do
        not pay for it. Raises SparkException when all ports that it may have are taken.
        """
        values = dict(self._conf.getAll())
        if os.getpid() != self._pid or not settings.value(values, "spark.ui.enabled"):
            return None
        with self._stopping:  # a stop that is under way comes first, and one that comes later ends the server
            if self._cluster.closed:
                return None
            if self._status_server is None:
                self._status_server = self._start_server(values)
                self._parts.callback(self._status_server.stop)
            return self._status_server.url

    def _start_server(self, values: dict[str, str]) -> StatusServer:
        from localcluster.ui.routes import Routes  # modules of which only those who look at the page need any
        from localcluster.ui.server import StatusServer
        from localcluster.ui.status_store import Application, StatusStore

        application = Application(self.applicationId, self.appName, self.sparkUser(), self.startTime, values)
        port, retries = (settings.value(values, key) for key in ("spark.ui.port", "spark.port.maxRetries"))
        return StatusServer(port, retries, Routes(StatusStore(application, self._cluster.status)).answer)
