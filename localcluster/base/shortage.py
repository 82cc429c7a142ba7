"""What the system has too little of, in words that name the limit."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import ClusterError, LocalClusterError

_PROCESSES = "no further process or thread is allowed (`ulimit -u`, or the container's `pids.max`)"
_MEMORY = "there is not enough memory for another process"
_WHAT = {
    errno.EAGAIN: _PROCESSES,
    errno.ENOMEM: _MEMORY,
    errno.ENOBUFS: _MEMORY,
    errno.EMFILE: "too many open files: this process may not open another one (`ulimit -n`)",
    errno.ETOOMANYREFS: "too many open files are on their way between processes (`ulimit -n`)",
    errno.ENFILE: "too many open files on this machine (`fs.file-max`)",
}


def shortage(error: BaseException) -> str | None:
    """None when the error is of another kind, which trying again will not mend."""
    if isinstance(error, OSError):
        return _WHAT.get(error.errno or 0)
    if isinstance(error, MemoryError):
        return _MEMORY
    # threading says so in a RuntimeError without a number
    return _PROCESSES if isinstance(error, RuntimeError) and "start new thread" in str(error) else None


@contextmanager
def naming_shortage(what: str) -> Iterator[None]:
    """What the system refuses in this block is a ClusterError: ``what`` cannot be started. Other errors pass."""
    try:
        yield
    except LocalClusterError:  # which says it, and may be an OSError as well
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        refused = shortage(error) or (str(error) if isinstance(error, OSError) else None)
        if refused is None:
            raise
        raise ClusterError(f"cannot start {what}: {refused}") from error
