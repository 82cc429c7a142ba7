"""Where one map task's output is: `MapStatus`."""

from __future__ import annotations

from typing import NamedTuple

from protocol.locations import SharedLocation


class MapStatus(NamedTuple):
    """One map task's output: who wrote it and where its blocks are, in the order of `ShuffleManager.block_ids`."""

    executor_id: str
    map_id: int  # id of the task that wrote it, which names the blocks (Spark 3's mapId)
    blocks: tuple[SharedLocation | None, ...]
