"""`StatusPage`: when a context has a web page. What is on it is in ``routes``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from localcluster.conf.setting import Texts
from localcluster.conf.settings import Settings

if TYPE_CHECKING:
    from localcluster.driver.status import Status
    from localcluster.ui.server import StatusServer
    from localcluster.ui.status_store import ApplicationRecord


class StatusPage:
    """The status page of a context.

    Thread-safe. The page exists from the first time somebody asks for its address, so that contexts which nobody
    looks at do not pay for it.
    """

    def __init__(self, conf: Texts, describe: Callable[[], ApplicationRecord], status: Status) -> None:
        self._conf = conf
        self._describe = describe
        self._status = status
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a signal's handler may stop a context that is starting its page
        self._stopped = False
        self._server: StatusServer | None = None

    def url(self) -> str | None:
        """None if ``spark.ui.enabled`` is false, once the page was stopped, and in forks. Raises SparkException when
        all ports that it may have are taken.
        """
        if os.getpid() != self._pid or not Settings(self._conf).ui_enabled:
            return None
        with self._lock:
            if self._stopped:
                return None
            if self._server is None:
                self._server = self._start_server()
            return self._server.url

    def stop(self) -> None:
        """What is being started meanwhile is ended, too."""
        with self._lock:
            self._stopped = True
            if self._server is not None:
                self._server.stop()

    def _start_server(self) -> StatusServer:
        from localcluster.ui.routes import Routes  # modules of which only those who look at the page need any
        from localcluster.ui.server import StatusServer
        from localcluster.ui.status_store import StatusStore

        settings = Settings(self._conf)
        routes = Routes(StatusStore(self._describe(), self._status))
        return StatusServer(settings.ui_port, settings.port_max_retries, routes.answer)
