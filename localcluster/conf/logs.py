"""Where log records go, and which.

A driver is the program's process: its root logger is left alone, as plain Python and spark-submit leave it. Our own
records go to the handlers that the program has; while it has none, to a handler of our own, on standard error.

Executors are processes of ours: what no handler of a task takes goes to standard error, at the levels that the driver
has when a stage starts there. Formats and handlers of the driver stay there: they cannot travel. The launcher is one,
too, at the level that the settings say.

Level TRACE, which is ours, has the messages between processes (`protocol.trace`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import wraps
from typing import Any

from localcluster.conf.settings import SPARK_LEVELS, Settings

TRACE = SPARK_LEVELS["TRACE"]
FORMAT = "%(asctime)s %(levelname)s {process} %(name)s: %(message)s"
OWN_LOGGERS = ("localcluster", "storage", "protocol")


class _StandardError(logging.Handler):
    """Writes to what ``sys.stderr`` is at the time; ``process`` names this one in each record."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT.format(process=process)))

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:  # of a daemon
            return
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class _LastResort(_StandardError):
    """On our own loggers; silent as soon as the program has a handler that gets the record, too."""

    def filter(self, record: logging.LogRecord) -> Any:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return False
            logger = logger.parent if logger.propagate else None
        return super().filter(record)


_own_handler = _LastResort("driver")


def show_own_records(conf: Mapping[str, str]) -> None:
    """In a driver: our records are seen whether or not the program sets up logging."""
    for name in OWN_LOGGERS:
        logging.getLogger(name).addHandler(_own_handler)  # which is added once
    level = _configured_level(conf)
    if level is not None:
        set_own_level(level)


def set_own_level(level: int) -> None:
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
    _trace_messages(level)


def _trace_messages(own_level: int) -> None:
    """After each change of the level of our own loggers, 0 while they have none. The root's does not count: a program
    sets it low to let its handlers choose, and asks for no line per message by that.
    """
    wanted = 0 < own_level <= TRACE
    if wanted or "protocol.trace" in sys.modules:
        from protocol import trace  # few want it

        trace.switch(wanted)


def _configured_level(conf: Mapping[str, str]) -> int | None:
    settings = Settings(conf)
    if settings.log_level is not None:
        return SPARK_LEVELS[settings.log_level]
    name = settings.own_log_level
    return None if name is None else getattr(logging, name, TRACE)


# --- executors -----------------------------------------------------------------------------------------------------


def levels() -> dict[str, int]:
    """The levels of this driver's loggers by name, but for those that inherit theirs; the root's name is ``""``.

    Who asks for our records asks for those of tasks, too, as with Spark's ``setLogLevel``.
    """
    root = logging.getLogger()
    disabled = root.manager.disable + 1 if root.manager.disable else 0
    own = logging.getLogger(OWN_LOGGERS[0]).level or root.level
    loggers = list(root.manager.loggerDict.items())  # at once: other threads make loggers
    set_here = {name: logger.level for name, logger in loggers if isinstance(logger, logging.Logger) and logger.level}
    return {name: max(level, disabled) for name, level in {"": min(root.level, own), **set_here}.items()}


class FollowedLevels:
    """In an executor: the levels of its driver."""

    def __init__(self) -> None:
        self._levels: Mapping[str, int] = {}

    def follow(self, wanted: Mapping[str, int]) -> None:
        """Set what changed since the last call. The rest stays: a task may have set it."""
        before, self._levels = self._levels, wanted
        for name in before.keys() - wanted.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        for name, level in wanted.items():
            if before.get(name) != level:
                logging.getLogger(name).setLevel(level)
        if before != wanted:
            _trace_messages(wanted.get(OWN_LOGGERS[0], logging.NOTSET))


def set_up_logging(conf: Mapping[str, str], process: str) -> None:
    """In a process of ours. The level of an executor is that of the time before its first stage."""
    logging.lastResort = _StandardError(process)
    logging.basicConfig = _basic_config
    level = _configured_level(conf) or logging.WARNING
    logging.getLogger().setLevel(level)
    _trace_messages(level)


_configure = logging.basicConfig


@wraps(_configure)
def _basic_config(**options: Any) -> None:
    """A task may set up logging. ``logging.info`` and its like do so without options, which would take the executor's
    name and the time out of all further records.
    """
    if options:
        _configure(**options)
