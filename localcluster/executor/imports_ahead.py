"""Importing a library before a task needs it: numpy takes longer than most tasks.

No task begins meanwhile. It may unpickle what is of a module inside of the library, so that its thread has that module
and waits for the library, and the other thread has the library and waits for the module: Python then gives one of them
a module that is half there.
"""

from __future__ import annotations

import importlib
import logging
import threading
from contextlib import suppress
from importlib.util import find_spec

from protocol.cluster_messages import ImportLibrary

log = logging.getLogger(__name__)


PATIENCE = 30.0  # seconds that a task waits: a library that takes longer is its own affair

_under_way: list[threading.Thread] = []


def begin(order: ImportLibrary) -> None:
    """In a thread of its own: orders that follow do not wait for it."""
    thread = threading.Thread(target=_import, args=(order,), name="imports", daemon=True)
    thread.start()
    _under_way.append(thread)  # tasks of later orders find it


def finish() -> None:
    """Wait for what was begun."""
    for thread in [*_under_way]:
        thread.join(PATIENCE)
        with suppress(ValueError):  # another task's thread was faster
            _under_way.remove(thread)


def _import(order: ImportLibrary) -> None:
    """Only what the driver has: a task may find another one, by the driver's paths that come with it."""
    try:
        spec = find_spec(order.name)
        if spec is not None and spec.origin == order.path:
            importlib.import_module(order.name)
    except Exception as error:  # the task that needs it will say so
        log.debug("%s cannot be imported ahead: %s", order.name, error)
