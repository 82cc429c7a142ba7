"""What every process of a cluster has, driver and executors alike: its block manager, its shuffle side, its settings.

Follows Spark's ``SparkEnv``. One per process while a context runs; tasks reach it through their `TaskContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcluster import settings
from localcluster.shuffle.hash_shuffle import HashShuffleManager
from localcluster.shuffle.manager import ShuffleManager
from localcluster.shuffle.map_outputs import MapOutputs
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from protocol.errors import ContextError
from storage.block_manager import BlockManager
from storage.block_manager_master import BlockManagerMaster, Transport
from storage.scratch import Scratch

SHUFFLE_MANAGERS: Mapping[str, type[ShuffleManager]] = {"sort": SortShuffleManager, "hash": HashShuffleManager}


@dataclass
class Env:
    executor_id: str
    conf: Mapping[str, str]
    block_manager: BlockManager
    shuffle_manager: ShuffleManager


def make_env(
    executor_id: str, conf: Mapping[str, str], transport: Transport, scratch: Scratch, ask: Callable[[Any], Any]
) -> Env:
    """Build what a process needs, not started; ``ask`` puts a cluster message to the driver."""
    blocks = BlockManager(executor_id, BlockManagerMaster(transport), settings.storage_conf(conf), scratch)
    memory_limit = settings.value(conf, "spark.python.worker.memory")
    manager = SHUFFLE_MANAGERS[settings.value(conf, "spark.shuffle.manager")]
    return Env(executor_id, conf, blocks, manager(blocks, MapOutputs(ask, blocks), memory_limit))


_env: Env | None = None


def set_env(env: Env | None) -> None:
    global _env
    _env = env


def get_env() -> Env:
    """Raises ContextError when no context runs in this process."""
    if _env is None:
        raise ContextError("no localcluster context runs in this process")
    return _env
