"""Flushing the standard streams wherever a process may end or fork."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger(__name__)


def flush_standard_streams() -> None:
    """A stream that is closed, absent or cannot be written (a daemon's, a full disk, a reader that left) is no reason
    to fail: whoever wrote to it has lost that output already.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            log.debug("standard output cannot be flushed: %s", error)
