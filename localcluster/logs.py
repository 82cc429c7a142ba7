"""Where log records go: to standard error, at the level that the run was given.

Only the CLI and executors call this; a program that uses the library sets up its own logging.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from localcluster.conf import settings

FORMAT = "%(asctime)s %(levelname)s {process} %(name)s: %(message)s"


def set_up_logging(conf: Mapping[str, str], process: str) -> None:
    """Set the root logger's level and, unless the job set one up, its handler; ``process`` names this one in it."""
    logging.basicConfig(format=FORMAT.format(process=process))
    logging.getLogger().setLevel(settings.value(conf, "localcluster.log.level"))
