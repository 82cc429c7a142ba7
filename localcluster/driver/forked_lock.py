"""What stands for the driver's lock in a fork of the driver: the cluster is its parent's."""

from __future__ import annotations

from typing import NoReturn

from protocol.errors import ContextError

FORKED = "this process was forked from the one whose SparkContext this is; make one of its own"


class ForkedLock:
    """The driver's lock in a process that was forked from a driver.

    Cannot be taken: whatever would look at the cluster, or change it, raises ContextError.
    """

    def __enter__(self) -> NoReturn:
        raise ContextError(FORKED)

    def __exit__(self, *error: object) -> None: ...
