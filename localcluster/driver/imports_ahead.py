"""Having idle executors import the library of a value while the driver still writes it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from protocol.cluster_messages import ImportLibrary
from protocol.message import Order

LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "sklearn")


class ImportsAhead:
    """``tell`` tells an order to all executors that can be reached; those that come later import when they need to."""

    def __init__(self, tell: Callable[[Order], None]) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def of(self, value: object) -> None:
        name = type(value).__module__.partition(".")[0]
        path = getattr(sys.modules.get(name), "__file__", None)
        if name in LIBRARIES and name not in self._told and path is not None:
            self._told.add(name)
            self._tell(ImportLibrary(name, path))
