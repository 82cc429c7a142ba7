"""What finds no room: the error that says so, and one warning for each key whose value was computed and not kept.

Results of one memoized function count as one, whatever the arguments, and so do the partitions of one RDD. Each process
warns for itself. Does not cover that there is no server: `client` warns of that.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from localcluster.conf.settings import bytes_text
from protocol.cache_messages import CacheStatus
from protocol.errors import CacheError

log = logging.getLogger(__name__)

_RESULT = re.compile(r"(.+)/[0-9a-f]{32}/[0-9a-f]{32}", re.DOTALL)  # see `memoize`
_warned: set[tuple[str, str]] = set()


def no_room(size: int, directory: str, status: CacheStatus) -> CacheError:
    """``size`` is in bytes."""
    memory, disk = status.memory.limit, status.disk.limit
    why = "which is less" if size > max(memory, disk) else "and what is there is pinned or in use"
    return CacheError(
        f"no room for {bytes_text(size)}: the server of the cache in {directory} takes {bytes_text(memory)} of memory "
        f"and {bytes_text(disk)} of the disk, {why}. To give it more, end it (`localcluster cache stop`, or "
        "Cache.stop_server()), and say Cache(max_memory=..., max_disk=...) in the program that starts the next one"
    )


def warn(directory: str, namespace: str, key: Any, error: Exception) -> None:
    """``directory`` and ``namespace`` are the cache's."""
    name = _name(namespace, key)
    if (directory, name) not in _warned:
        _warned.add((directory, name))
        log.warning("%s: computed, and not kept, so that it is computed each time: %s", name, error)


def _name(namespace: str, key: Any) -> str:
    if namespace.startswith("rdd."):
        return f"partitions of {namespace}"
    result = _RESULT.fullmatch(key) if isinstance(key, str) else None
    return f"results of {result[1]}" if result else f"the value of {key!r} of {namespace}"
