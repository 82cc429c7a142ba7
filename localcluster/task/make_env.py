"""Building a process's `Env`: its block manager and its shuffle side, from the settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from localcluster.conf.settings import Settings, storage_conf
from localcluster.shuffle.hash_shuffle import HashShuffleManager
from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.map_outputs import MapOutputs
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from localcluster.task.env import Env
from protocol.locations import DRIVER
from storage.block_manager import BlockManager
from storage.block_manager_master import BlockManagerMaster, Transport
from storage.scratch import Scratch

SHUFFLE_MANAGERS: Mapping[str, type[ShuffleManager]] = {"sort": SortShuffleManager, "hash": HashShuffleManager}
FILES_DIRECTORY = "userFiles"


def make_env(
    executor_id: str,
    conf: Mapping[str, str],
    memory: int,
    transport: Transport,
    scratch: Scratch,
    ask: Callable[[Any], Any],
) -> Env:
    """What a process with so many bytes of memory needs, not started; ``ask`` puts a cluster message to the driver."""
    settings = Settings(conf)
    storage = replace(storage_conf(conf, memory), by_calls=executor_id == DRIVER)
    blocks = BlockManager(executor_id, BlockManagerMaster(transport), storage, scratch)
    manager = SHUFFLE_MANAGERS[settings.shuffle_manager]
    shuffles = manager(blocks, MapOutputs(ask, blocks), settings.python_worker_memory)
    return Env(executor_id, settings, blocks, shuffles, os.path.join(scratch.primary, FILES_DIRECTORY))
