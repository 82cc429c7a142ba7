"""`CacheStatistics`: what one `Cache` of one process did. What all programs did is the server's `CacheStatus`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class CacheStatistics:
    """``hits`` and ``misses`` are looks at entries, memoized calls included; ``computed``: missing values that were
    computed by this object, ``kept``: values that it stored.
    """

    hits: int = 0
    misses: int = 0
    computed: int = 0
    kept: int = 0
