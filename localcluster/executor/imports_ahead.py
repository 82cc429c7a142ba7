"""Importing a library before a task needs it: numpy takes longer than most tasks."""

from __future__ import annotations

import importlib
import logging
import threading
from importlib.util import find_spec

from protocol.cluster_messages import ImportLibrary

log = logging.getLogger(__name__)


def begin(order: ImportLibrary) -> None:
    """In a thread of its own: orders that follow do not wait for it."""
    threading.Thread(target=_import, args=(order,), name="imports", daemon=True).start()


def _import(order: ImportLibrary) -> None:
    """Only what the driver has: a task may find another one, by the driver's paths that come with it."""
    try:
        spec = find_spec(order.name)
        if spec is not None and spec.origin == order.path:
            importlib.import_module(order.name)
    except Exception as error:  # the task that needs it will say so
        log.debug("%s cannot be imported ahead: %s", order.name, error)
